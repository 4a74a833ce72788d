// Tables of runs side by side: what came out, and the settings in which they differ.
import { el, put, say } from "./dom.js";
import { label, named } from "./format.js";
import { line } from "./palette.js";

const REGION = { class: "scroll", tabindex: 0, role: "region" };

export class Tables {
  #shown = "";

  constructor(names) {
    this.names = names;
    this.results = el("div", { ...REGION, "aria-label": "results" });
    this.settings = el("div", { ...REGION, "aria-label": "differences" });
    this.same = el("p", { class: "muted" });
  }

  // What /api/compare told, and what each run is; drawn anew only where something changed, or what is selected would be lost.
  set({ different, same }, infos) {
    const results = resultsOf(different, infos);
    const differ = different.filter(({ key }) => !key.startsWith("result.")).sort((a, b) => a.key.localeCompare(b.key));
    const now = JSON.stringify([results, differ]);
    if (now === this.#shown) return;
    this.#shown = now;
    put(this.results, this.#table("result", results, label, named));
    const rows = differ.map(({ key, values }) => [key, values]);
    const none = el("p", { class: "empty" }, "Nothing differs but the time.");
    put(this.settings, rows.length ? this.#table("setting", rows, (key) => key, plain) : none);
    say(this.same, `${same} ${same === 1 ? "setting is" : "settings are"} equal and not shown.`);
  }

  #table(what, rows, title, text) {
    const heads = this.names.map((name, index) => el("th", { scope: "col" }, swatch(index), brief(name)));
    const body = rows.map(([key, values]) => {
      const cells = values.map((value) => el("td", {}, text(key, value)));
      return el("tr", {}, el("th", { scope: "row" }, title(key)), cells);
    });
    return el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, what), heads)), el("tbody", {}, body));
  }
}

// Status and steps first, then results that differ, then those that do not.
function resultsOf(different, infos) {
  const first = infos[0].result ?? {};
  const alike = Object.keys(first).filter((key) =>
    infos.every((info) => JSON.stringify(info.result?.[key]) === JSON.stringify(first[key])),
  );
  const differ = different.filter(({ key }) => key.startsWith("result."));
  const rows = [
    ...differ.map(({ key, values }) => [key.slice(7), values]),
    ...alike.map((key) => [key, infos.map((info) => info.result[key])]),
  ];
  const status = ["status", infos.map((info) => info.status)];
  const steps = ["steps", infos.map((info) => info.newest?.step)];
  return [status, steps, ...rows.filter(([key]) => key !== "steps")];
}

function plain(_, value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}

// Names of folders begin with date and time: a place to break them.
const brief = (name) => name.split(/(?<=Z-)/).flatMap((part) => [part, el("wbr")]);

export function swatch(index) {
  return el("i", { class: "swatch", style: `background:var(--${line(index)})`, "aria-hidden": "true" });
}
