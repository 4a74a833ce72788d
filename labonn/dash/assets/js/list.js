// The list of runs: those that are going on first; choose some to compare them.
import { get } from "./api.js";
import { el, put, say } from "./dom.js";
import { count } from "./format.js";
import { guardians } from "./guardians.js";
import { follow } from "./live.js";
import { heads, Row } from "./row.js";

const MOST = 12; // that can be told apart in one chart
const EVERY_MS = 2000;

export function listPage(_, main) {
  const aborted = new AbortController();
  const page = new List(aborted.signal);
  put(main, page.root);
  const bench = guardians(page.benches, null, aborted.signal);
  const stop = follow(null, { runs: () => page.soon(), back: () => page.soon() });
  const timer = setInterval(() => !document.hidden && page.goesOn() && page.soon(), EVERY_MS);
  page.load();
  return () => {
    aborted.abort();
    bench.close();
    stop();
    page.close();
    clearInterval(timer);
  };
}

class List {
  #timer = 0;
  #last = -Infinity;
  #runs = [];
  #wanted = "";
  #marked = new Set();
  #kept = new Map();

  constructor(signal) {
    this.signal = signal;
    this.problem = el("p", { class: "problem", role: "alert", hidden: true });
    this.compare = el("a", { class: "button", role: "button" });
    this.filter = el("input", {
      type: "search",
      placeholder: "filter: name, procedure, status",
      "aria-label": "filter",
      oninput: (event) => this.#sift(event),
    });
    this.folder = el("p", { class: "muted" });
    this.heads = heads();
    this.rows = el("div", { class: "runs", role: "table", "aria-label": "runs" }, el("p", { class: "empty" }, "reading the runs …"));
    this.benches = el("div", { class: "benches" });
    const tools = el("div", { class: "tools" }, this.filter, this.compare);
    this.root = el(
      "div",
      { class: "page" },
      el("div", { class: "title" }, el("h1", {}, "Runs"), tools),
      this.problem,
      this.benches,
      this.rows,
      this.folder,
    );
    this.#offer();
  }

  // Lists of many runs are not asked for more often than is worth looking at.
  soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.load(), Math.max(0, this.#last + 500 - performance.now()));
  }

  close() {
    clearTimeout(this.#timer);
  }

  goesOn() {
    return this.#runs.some((run) => run.status === "running");
  }

  async load() {
    this.#last = performance.now();
    try {
      const told = await get("api/runs", this.signal);
      this.#runs = [...told.runs].sort((a, b) => (b.status === "running") - (a.status === "running"));
      say(this.folder, told.waiting ?? `${count(told.runs.length)} ${told.runs.length === 1 ? "run" : "runs"} in ${told.folder}`);
      this.problem.hidden = true;
      this.#draw();
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.problem.hidden = false;
      say(this.problem, problem.message);
    }
  }

  #sift(event) {
    this.#wanted = event.target.value.toLowerCase();
    this.#draw();
  }

  #draw() {
    const fits = (run) => `${run.name} ${run.procedure} ${run.status} ${run.command}`.toLowerCase().includes(this.#wanted);
    const shown = this.#runs.filter(fits);
    for (const run of shown) this.#row(run).set(run);
    const none = this.#runs.length ? el("p", { class: "empty" }, "No run fits the filter.") : empty();
    const rows = shown.length ? [this.heads, ...shown.map((run) => this.#row(run).root)] : [none];
    const same = rows.length === this.rows.children.length && rows.every((row, index) => row === this.rows.children[index]);
    if (!same) put(this.rows, rows);
  }

  // Kept while the page is, so that nothing is lost that is clicked, marked or selected while the list is read again.
  #row(run) {
    if (!this.#kept.has(run.name)) this.#kept.set(run.name, new Row(run.name, (marked) => this.#mark(run.name, marked)));
    return this.#kept.get(run.name);
  }

  #mark(name, marked) {
    if (marked) this.#marked.add(name);
    else this.#marked.delete(name);
    this.#offer();
  }

  #offer() {
    const number = this.#marked.size;
    const good = number >= 2 && number <= MOST;
    const names = [...this.#marked].map(encodeURIComponent).join(",");
    say(this.compare, number > MOST ? `compare at most ${MOST}` : good ? `compare ${number} runs` : "mark runs to compare");
    this.compare.setAttribute("aria-disabled", String(!good));
    if (good) this.compare.href = `#/compare/${names}`;
    else this.compare.removeAttribute("href");
  }
}

function empty() {
  return el(
    "div",
    { class: "empty" },
    el("p", {}, "No runs here yet. A dry run needs no instruments:"),
    el("pre", {}, "labonn run train_vapour_cell --dry-run"),
    el("p", {}, "It shows up here as soon as it begins. Runs elsewhere: ", el("code", {}, "labonn dash --runs FOLDER"), "."),
  );
}
