// One run in the list: only cells whose words have changed are touched.
import { el, put } from "./dom.js";
import { count, duration, label, named, when } from "./format.js";
import { badge, kind } from "./status.js";

const CELLS = { mark: "", state: "status", name: "run", best: "best", steps: "steps", took: "took", began: "started", how: "bench" };

export class Row {
  #cells = {};
  #shown = {};

  constructor(name, marked) {
    this.name = name;
    for (const cell of Object.keys(CELLS)) this.#cells[cell] = el("div", { class: cell, role: "cell" });
    const chosen = (event) => marked(event.target.checked);
    this.#cells.mark.append(el("input", { type: "checkbox", "aria-label": `compare ${name}`, onchange: chosen }));
    this.told = el("span", { class: "told" });
    this.#cells.name.append(el("a", { href: `#/run/${encodeURIComponent(name)}` }, name), this.told);
    this.root = el("div", { class: "row", role: "row", "data-run": name }, Object.values(this.#cells));
  }

  set(run) {
    const status = run.message && !run.procedure ? "unreadable" : run.status;
    const { best } = run;
    this.#say("state", status, () => badge(status));
    this.#say("best", best && [best.name, best.value], () => (best ? [dim(label(best.name)), named(best.name, best.value)] : "–"));
    this.#say("steps", run.steps, () => [dim("steps"), count(run.steps)]);
    this.#say("took", duration(run.took_s), () => duration(run.took_s));
    this.#say("began", when(run.started), () => when(run.started));
    this.#say("how", run.dry_run, () => kind(run.dry_run));
    this.told.textContent = run.message ?? run.problem ?? run.title ?? "";
    this.told.classList.toggle("calm", !run.message && !run.problem);
  }

  #say(cell, key, draw) {
    const now = JSON.stringify(key ?? null);
    if (this.#shown[cell] === now) return;
    this.#shown[cell] = now;
    put(this.#cells[cell], [draw()].flat());
  }
}

const dim = (text) => el("span", { class: "what" }, `${text} `);

export function heads() {
  const cells = Object.entries(CELLS).map(([cell, text]) => el("div", { class: cell, role: "columnheader" }, text));
  return el("div", { class: "row heads", role: "row" }, cells);
}
