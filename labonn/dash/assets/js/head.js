// The head of a run's page: what it is, how far it is, how long it will still take; and the button that makes its bench safe.
import { el, facts, put, say } from "./dom.js";
import { count, duration, roughly, when } from "./format.js";
import { guardians } from "./guardians.js";
import { badge, kind } from "./status.js";

const TAIL = 0.2; // of the points on record: the speed of the recent past says when the run will end

export class Head {
  #benches;

  constructor(run) {
    this.run = run;
    this.state = el("span", { class: "state" });
    this.steps = el("span", { class: "steps", id: "steps", "data-step": "" });
    this.left = el("span", { class: "left" });
    this.bar = el("progress", { max: 1, value: 0, "aria-label": "progress" });
    this.safe = el("div", { class: "benches" });
    const line = el("div", { class: "line" }, this.state, this.steps, this.bar, this.left, this.safe);
    this.title = el("h1", {}, run.name);
    this.problem = el("p", { class: "problem", role: "alert", hidden: true });
    this.about = el("div", { class: "about" });
    this.root = el("div", { class: "head" }, this.title, el("div", { class: "sticky" }, line), this.problem, this.about);
    this.#benches = guardians(this.safe, run.name, run.signal, () => this.#why());
  }

  close() {
    this.#benches.close();
  }

  // A step that has just been put on record.
  step({ step, status }) {
    this.now = step;
    const total = this.run.info?.total_steps;
    say(this.steps, total ? `step ${count(step)} of ${count(total)}` : `step ${count(step)}`);
    this.steps.dataset.step = step;
    this.bar.hidden = !total;
    if (total) this.bar.value = Math.min(1, step / total);
    say(this.left, status === "running" ? this.#left(step, total) : "");
  }

  draw() {
    const { info } = this.run;
    if (info.status !== this.status) this.#benches.again();
    this.status = info.status;
    const first = info.sessions[0] ?? {};
    const last = info.sessions.at(-1) ?? {};
    put(this.state, badge(info.status), " ", kind(last.dry_run === undefined ? null : Boolean(last.dry_run)));
    this.problem.hidden = !info.problem;
    say(this.problem, info.problem ?? "");
    this.step({ step: Math.max(info.newest?.step ?? 0, this.now ?? 0), status: info.status });
    const effort = this.run.curves.effort;
    const newest = (name) => effort?.[name]?.at(-1);
    const evaluations = this.run.curves.step.evaluations?.value.findLast((value) => value !== null);
    const ended = info.status === "running" ? Date.now() / 1000 : info.newest?.time;
    const took = info.sessions.reduce(
      (sum, session) => sum + Math.max(0, (session.ended ?? (session === last ? ended : null) ?? session.started) - session.started),
      0,
    );
    put(
      this.about,
      facts([
        ["procedure", info.procedure],
        ["bench", last.bench ?? "–"],
        ["seed", last.seed ?? "–"],
        ["started", when(first.started)],
        ["took", duration(took)],
        ...(evaluations === undefined ? [] : [["hardware evaluations", count(evaluations)]]),
        ["shots", count(newest("shots") ?? info.result?.shots)],
        ["exchanges", count(newest("exchanges") ?? info.result?.exchanges)],
        ["bench time", duration(info.newest?.bench_s)],
        ...(info.sessions.length > 1 ? [["sessions", count(info.sessions.length)]] : []),
      ]),
      el("p", { class: "command" }, el("code", {}, last.command ?? "")),
    );
  }

  #why() {
    const { info } = this.run;
    if (!info) return "looking for its guardian …";
    const last = info.sessions.at(-1) ?? {};
    if (info.status !== "running") return "this run holds no bench any more";
    if (last.dry_run) return "no guardian: simulated instruments live in the run itself; Ctrl-C there ends it safely";
    return "no guardian holds this bench: press Ctrl-C in the run's terminal, or use `labonn safe --bench FILE`";
  }

  // By the speed of the last points; said roughly, because that is how well it is known.
  #left(step, total) {
    const effort = this.run.curves.effort;
    if (!total || !effort || effort.step.length < 3) return "";
    const from = Math.min(Math.floor(effort.step.length * (1 - TAIL)), effort.step.length - 2);
    const done = effort.step.at(-1) - effort.step[from];
    const took = effort.time.at(-1) - effort.time[from];
    return done > 0 && total > step ? `about ${roughly((took / done) * (total - step))} left` : "";
  }
}
