// Several runs side by side: their curves on one axis, their results, and the settings in which they differ.
import { folder, get } from "./api.js";
import { Chart } from "./chart.js";
import { AXES, Curves } from "./curves.js";
import { el, put, say, select } from "./dom.js";
import { label, number, percent } from "./format.js";
import { follow } from "./live.js";
import { dash, line } from "./palette.js";
import { swatch, Tables } from "./tables.js";
import { chartOf, everyStep } from "./panels/learning.js";

const EVERY_MS = 2000;

export function comparePage(names, main) {
  const page = new Comparison(names);
  put(main, page.root);
  page.load();
  const stop = follow(null, { runs: () => page.soon(), back: () => page.soon() });
  const timer = setInterval(() => !document.hidden && page.soon(), EVERY_MS);
  return () => {
    clearInterval(timer);
    stop();
    page.close();
  };
}

class Comparison {
  #aborted = new AbortController();
  #charts = [];
  #busy = false;
  #runs = new Map();

  constructor(names) {
    this.names = names;
    this.signal = this.#aborted.signal;
    this.curves = names.map((name) => new Curves(name, this.signal));
    this.problem = el("p", { class: "problem", role: "alert", hidden: true });
    this.tools = el("div", { class: "tools" });
    this.place = el("div", { class: "charts" });
    this.tables = new Tables(names);
    const panel = (title, ...what) =>
      el("section", { class: "panel wide" }, el("header", {}, el("h2", {}, title), what[0] === this.place ? this.tools : null), what);
    const key = el(
      "ul",
      { class: "key" },
      names.map((name, index) => el("li", {}, swatch(index), el("a", { href: `#/run/${encodeURIComponent(name)}` }, name))),
    );
    const panels = el(
      "div",
      { class: "panels" },
      panel("Curves", this.place),
      panel("Results", this.tables.results),
      panel("What differs", this.tables.settings, this.tables.same),
    );
    this.root = el("div", { class: "page compare" }, el("h1", {}, `${names.length} runs compared`), key, this.problem, panels);
    this.axis = "steps";
    this.metrics = null;
  }

  close() {
    this.#aborted.abort();
    for (const chart of this.#charts) chart.close();
  }

  async load() {
    this.#busy = true;
    try {
      const [compared, infos] = await Promise.all([
        get(`api/compare?runs=${this.names.map(encodeURIComponent).join(",")}`, this.signal),
        Promise.all(this.names.map((name) => get(folder(name), this.signal))),
        ...this.curves.map((one) => one.fresh()),
      ]);
      infos.forEach((info) => this.#runs.set(info.name, info));
      this.#say("");
      this.#offer();
      this.#draw();
      this.tables.set(compared, infos);
    } catch (problem) {
      if (problem.name !== "AbortError") this.#say(problem.message);
      if (problem.name !== "AbortError" && problem.status === undefined) console.error(problem);
    }
    this.#busy = false;
  }

  // Only what goes on changes.
  soon() {
    const infos = [...this.#runs.values()];
    if (!this.#busy && (infos.length < this.names.length || infos.some((info) => info.status === "running"))) this.load();
  }

  // The metrics that there are, those of most runs first.
  #offer() {
    const found = new Map();
    for (const one of this.curves) {
      for (const kind of ["step", "report"]) {
        for (const name of Object.keys(one[kind])) if (chartOf(name)) found.set(`${kind} ${name}`, (found.get(`${kind} ${name}`) ?? 0) + 1);
      }
    }
    const rank = (key) => [/validation_accuracy$/, /step loss$/, /accuracy$/, /loss$/].findIndex((pattern) => pattern.test(key));
    const keys = [...found.keys()].sort(
      (a, b) => ((rank(a) + 5) % 5) - ((rank(b) + 5) % 5) || found.get(b) - found.get(a) || a.localeCompare(b),
    );
    if (String(keys) === this.tools.dataset.known) return;
    this.tools.dataset.known = String(keys);
    this.metrics ??= [
      keys.find((key) => /^step loss$/.test(key)) ?? keys[0],
      keys.find((key) => /validation_accuracy$/.test(key)) ?? keys[1],
    ];
    const options = keys.map((key) => [key, key.startsWith("step ") ? `${label(key.slice(5))} (each step)` : label(key.slice(7))]);
    const choose = (index) => (key) => {
      this.metrics[index] = key;
      this.#draw();
    };
    const axes = (key) => {
      this.axis = key;
      this.#draw();
    };
    put(
      this.tools,
      select("left", options, this.metrics[0], choose(0)),
      select("right", options, this.metrics[1], choose(1)),
      select(
        "against",
        Object.entries(AXES).map(([key, axis]) => [key, axis.label]),
        this.axis,
        axes,
      ),
    );
  }

  #draw() {
    this.metrics?.filter(Boolean).forEach((key, index) => {
      const [kind, name] = key.split(" ");
      const format = /accuracy$/.test(name) ? percent : number;
      if (!this.#charts[index]) {
        this.#charts[index] = new Chart({ title: "", height: 300, sync: "compare", y: { format } });
        this.#charts[index].root.querySelector(".head").prepend(el("h3"));
        put(
          this.place,
          this.#charts.map((chart) => chart.root),
        );
      }
      const chart = this.#charts[index];
      chart.title = label(name);
      chart.y = { format, key: name };
      say(chart.root.querySelector("h3"), label(name) + (kind === "step" ? " (each step)" : ""));
      chart.set(
        this.curves.flatMap((one, run) => this.#line(one, run, kind, name)),
        AXES[this.axis],
      );
    });
  }

  #line(curves, run, kind, name) {
    const column = curves[kind][name];
    if (!column) return [];
    const few = column.entry.length < 60;
    const text = this.names[run] + (kind === "step" && curves.stretch > 1 ? `, ${everyStep(curves)}` : "");
    return [
      {
        name: text,
        color: line(run),
        dash: dash(run),
        points: kind === "report" && few,
        x: curves.x(this.axis, column),
        value: column.value,
      },
    ];
  }

  #say(problem) {
    this.problem.hidden = !problem;
    say(this.problem, problem);
  }
}
