// Guardians of benches, each with the button that makes its bench safe. Asked for every few seconds while anybody looks.
import { get, keepSecret, makeSafe, mayMakeSafe } from "./api.js";
import { el, put, say } from "./dom.js";

const EVERY_MS = 4000;
const NONE = "no guardian";

// Keep `place` showing the guardian that holds `run` (null: all guardians); `why()` says why there may be none. Returns {again, close}.
export function guardians(place, run, signal, why = () => null) {
  const shown = new Map();
  const told = el("span", { class: "reason" });
  const off = el("button", { type: "button", class: "safe", disabled: true, "aria-describedby": "no-guardian" }, "Make safe");
  told.id = "no-guardian";
  const none = run === null ? null : el("div", { class: "guardian" }, off, told);

  const draw = (found) => {
    const held = found.filter((guardian) => run === null || guardian.runs.includes(run));
    const wanted = held.map((guardian) => guardian.address);
    for (const address of shown.keys()) if (!wanted.includes(address) && !shown.get(address).speaks) shown.delete(address);
    for (const guardian of held) {
      if (!shown.has(guardian.address)) shown.set(guardian.address, new Guardian(guardian.address, run === null));
      shown.get(guardian.address).set(guardian);
    }
    say(told, why() ?? NONE);
    off.title = told.textContent;
    const roots = [...shown.values()].map((guardian) => guardian.root);
    const all = roots.length ? roots : none ? [none] : [];
    if (all.length !== place.children.length || all.some((root, index) => root !== place.children[index])) put(place, all);
  };
  const look = async () => {
    if (document.hidden) return;
    try {
      draw((await get("api/guardians", signal)).guardians);
    } catch (problem) {
      if (problem.name !== "AbortError" && !shown.size) draw([]);
    }
  };
  draw([]);
  look();
  const timer = setInterval(look, EVERY_MS);
  return {
    again: look,
    close: () => clearInterval(timer),
  };
}

class Guardian {
  constructor(address, named) {
    this.address = address;
    this.speaks = false; // what the button did stays in sight, whatever became of the guardian
    this.words = el("span", { class: "about" });
    this.told = el("p", { class: "told", role: "alert" });
    this.buttons = el("span", { class: "buttons", onkeydown: (event) => event.key === "Escape" && this.#offer() });
    this.root = el("div", { class: "guardian" }, this.buttons, named ? this.words : null, this.told);
    this.#offer();
  }

  set(about) {
    this.about = about;
    const lease = about.lease ? `held by ${about.lease.who ?? "somebody"}` : "held by nobody";
    const kind = about.dry_run ? "dry run" : "REAL BENCH";
    say(this.words, `${kind}: ${about.bench}, ${about.silent ? `silent: ${about.silent}` : lease}`);
    this.root.title = `guardian at ${about.address}, process ${about.pid}, since ${about.since}`;
  }

  #offer() {
    put(this.buttons, el("button", { type: "button", class: "safe", onclick: () => this.#confirm() }, "Make safe"));
  }

  async #confirm() {
    this.#ask();
    const may = await mayMakeSafe().catch(() => "ready"); // what is wrong will be said when it is tried
    if (may === "token") this.#wantSecret();
  }

  // A server that serves other computers wants to be told its token.
  #wantSecret() {
    const field = el("input", {
      type: "password",
      "aria-label": "token of the dashboard",
      placeholder: "token of the dashboard",
      oninput: () => keepSecret(field.value),
    });
    this.buttons.prepend(field);
    field.focus();
  }

  #ask() {
    const yes = el("button", { type: "button", class: "safe sure", onclick: () => this.#do() }, "Yes: all outputs safe now");
    const no = el("button", { type: "button", onclick: () => this.#offer() }, "No");
    put(this.buttons, yes, no);
    yes.focus();
  }

  async #do() {
    put(this.buttons, el("button", { type: "button", class: "safe", disabled: true }, "making safe …"));
    this.speaks = true;
    try {
      const { told } = await makeSafe(this.address);
      this.#say("done", told);
    } catch (problem) {
      if (problem.status === 403) keepSecret(null); // a wrong one is asked for again
      this.#say("failed", `NOT confirmed safe: ${problem.message}`);
    }
    this.#offer();
  }

  #say(outcome, text) {
    this.told.dataset.outcome = outcome;
    say(this.told, `${new Date().toLocaleTimeString([], { hour12: false })}: ${text}`);
  }
}
