// A panel of a run: drawn when it is seen, again when something is new, at most every so often, and never twice at once.
import { el, say } from "./dom.js";

export class Panel {
  #observer;
  #timer = 0;
  #busy = false;
  #seen = false;
  #stale = true;
  #last = -Infinity;
  #closed = false;

  // `update` draws into `body`, and may be asynchronous. `every`: milliseconds between two at least.
  constructor(id, title, update, { every = 1000, tools = [], wide = false } = {}) {
    this.update = update;
    this.every = every;
    this.problem = el("p", { class: "problem", role: "alert", hidden: true });
    this.body = el("div", { class: "body" });
    const head = el("header", {}, el("h2", { id: `${id}-title` }, title), el("div", { class: "tools" }, tools));
    const classes = wide ? "panel wide" : "panel";
    this.root = el("section", { class: classes, id, "aria-labelledby": `${id}-title` }, head, this.problem, this.body);
    this.#observer = new IntersectionObserver(([entry]) => this.#look(entry.isIntersecting), { rootMargin: "200px" });
    this.#observer.observe(this.root);
  }

  // Something is new.
  poke() {
    this.#stale = true;
    this.#go();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#observer.disconnect();
    this.onclose?.();
  }

  #look(seen) {
    this.#seen = seen;
    this.#go();
  }

  async #go() {
    clearTimeout(this.#timer);
    if (!this.#stale || this.#busy || !this.#seen || this.#closed || document.hidden) return;
    const wait = this.#last + this.every - performance.now();
    if (wait > 0) {
      this.#timer = setTimeout(() => this.#go(), wait);
      return;
    }
    this.#busy = true;
    this.#stale = false;
    this.#last = performance.now();
    try {
      await this.update(this);
      this.root.dataset.drawn = Number(this.root.dataset.drawn ?? 0) + 1;
      this.#say("");
    } catch (problem) {
      if (problem.name !== "AbortError") this.#say(problem.message);
      if (problem.name !== "AbortError" && problem.status === undefined) console.error(problem);
    }
    this.#busy = false;
    if (this.#stale) this.#go();
  }

  #say(problem) {
    this.problem.hidden = !problem;
    say(this.problem, problem);
  }
}
