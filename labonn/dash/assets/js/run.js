// One run: its header, and the panels of what it has on record, each kept new while it goes on.
import { folder, get } from "./api.js";
import { Curves } from "./curves.js";
import { el, put, say } from "./dom.js";
import { Head } from "./head.js";
import { follow } from "./live.js";
import * as checks from "./panels/checks.js";
import * as figures from "./panels/figures.js";
import * as frames from "./panels/frames.js";
import * as gradient from "./panels/gradient.js";
import * as histograms from "./panels/histograms.js";
import * as learning from "./panels/learning.js";
import * as log from "./panels/log.js";
import * as maps from "./panels/maps.js";
import * as ports from "./panels/ports.js";
import * as result from "./panels/result.js";
import * as settings from "./panels/settings.js";

// In their order on the page. Each: wanted(info) and create(run) -> Panel.
const PANELS = [learning, gradient, maps, ports, frames, histograms, result, figures, checks, log, settings];
const ABOUT_MS = 3000;

export function runPage(name, main) {
  const run = new Run(name);
  put(main, run.root);
  run.start();
  return () => run.close();
}

class Run {
  #aborted = new AbortController();
  #panels = new Map();
  #asked = -Infinity;
  #timer = 0;
  #stop = null;

  constructor(name) {
    this.name = name;
    this.signal = this.#aborted.signal;
    this.curves = new Curves(name, this.signal, 0);
    this.problem = el("p", { class: "problem", role: "alert", hidden: true });
    this.head = new Head(this);
    this.place = el("div", { class: "panels" }, el("p", { class: "empty" }, "reading the record …"));
    this.root = el("div", { class: "page run" }, this.head.root, this.problem, this.place);
  }

  async start() {
    await this.#about();
  }

  close() {
    this.#aborted.abort();
    this.#stop?.();
    clearTimeout(this.#timer);
    this.head.close();
    for (const panel of this.#panels.values()) panel.close();
  }

  // Once it is known that there is such a run.
  #follow() {
    if (this.#stop || this.signal.aborted) return;
    this.#stop = follow(this.name, { run: (event) => this.#new(event), runs: () => this.#about(), back: () => this.#again() });
  }

  #new(event) {
    if (event.message) {
      this.#say(event.message);
      return;
    }
    this.curves.wanted = Math.max(this.curves.wanted, event.entry ?? 0);
    this.head.step(event);
    for (const panel of this.#panels.values()) panel.poke();
    const changed = event.status !== this.info?.status;
    if (changed || performance.now() - this.#asked > ABOUT_MS) this.#about();
  }

  #again() {
    this.curves.forget();
    this.#about();
  }

  // What the run is, and so which panels it has. Asked for again while it goes on, because ports and metrics come with its first steps.
  async #about() {
    this.#asked = performance.now();
    clearTimeout(this.#timer);
    try {
      const info = await get(folder(this.name), this.signal);
      if (this.info && info.sessions.length !== this.info.sessions.length) this.curves.forget();
      this.info = info;
      this.curves.wanted = Math.max(this.curves.wanted, info.newest?.entry ?? 0);
      this.#say("");
      this.#arrange();
      this.head.draw();
      for (const panel of this.#panels.values()) panel.poke();
      this.#follow();
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.#say(problem.message);
      if (!this.#panels.size) this.place.replaceChildren();
      if (problem.status === undefined) console.error(problem);
      this.#timer = setTimeout(() => this.#about(), ABOUT_MS);
    }
  }

  #arrange() {
    let before = null;
    if (!this.#panels.size) this.place.replaceChildren();
    for (const kind of PANELS) {
      if (!this.#panels.has(kind) && kind.wanted(this.info)) {
        const panel = kind.create(this);
        this.#panels.set(kind, panel);
        if (before) before.after(panel.root);
        else this.place.prepend(panel.root);
      }
      before = this.#panels.get(kind)?.root ?? before;
    }
  }

  #say(problem) {
    this.problem.hidden = !problem;
    say(this.problem, problem);
  }
}
