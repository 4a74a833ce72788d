// The curves of a run as the server gives them, extended by what is new, and the x axes that they are drawn against.
import { folder, get } from "./api.js";
import { duration, short } from "./format.js";

const POINTS = 600;
const MOST = 3 * POINTS; // points that have been added one by one before all are asked for anew, thinned

export const AXES = {
  steps: { label: "steps", format: short },
  evaluations: { label: "hardware evaluations", format: short },
  shots: { label: "shots", format: short },
  bench: { label: "bench time", format: duration },
};

export class Curves {
  #asking = null;
  #added = 0;

  // `wanted`: the newest entry that is known of.
  constructor(name, signal, wanted = Infinity) {
    Object.assign(this, { name, signal, wanted, effort: null, step: {}, report: {}, stretch: 1 });
  }

  // Ask from the beginning next time: a resumed run changes its past.
  forget() {
    this.effort = null;
  }

  // Have what is new by now; those who ask at the same time share one answer, unless it was on its way before the newest entry was made.
  async fresh() {
    const most = this.wanted === Infinity ? 1 : 2;
    for (let asked = 0; asked < most && this.#behind(); asked += 1) {
      this.#asking ??= this.#load().finally(() => (this.#asking = null));
      await this.#asking;
    }
  }

  #behind() {
    return !this.effort || (this.effort.entry.at(-1) ?? 0) < this.wanted;
  }

  async #load() {
    const since = this.effort && this.#added < MOST ? (this.effort.entry.at(-1) ?? 0) : 0;
    const found = await get(`${folder(this.name)}/curves?points=${POINTS}&since=${since}`, this.signal);
    if (since && !this.effort) return; // forgotten meanwhile
    if (!since) {
      this.#added = 0;
      Object.assign(this, { effort: found.effort, step: found.step, report: found.report, stretch: stretchOf(found.step) });
      return;
    }
    this.#added += extend(this.effort, found.effort);
    for (const kind of ["step", "report"]) {
      for (const [name, columns] of Object.entries(found[kind])) {
        if (this[kind][name]) extend(this[kind][name], columns);
        else this[kind][name] = columns;
      }
    }
  }

  // Axes that this run has figures for.
  axes() {
    const axes = ["steps", "shots", "bench"];
    return this.step.evaluations || this.report.settings ? ["steps", "evaluations", "shots", "bench"] : axes;
  }

  // Where the points of a column lie on an axis.
  x(axis, column) {
    if (axis === "steps" || !this.effort) return column.step;
    if (axis === "evaluations") {
      const known = this.step.evaluations ?? renamed(this.report.settings);
      return known ? between(known.entry, known.value, column.entry) : column.step;
    }
    return between(this.effort.entry, this.effort[axis === "bench" ? "bench_s" : "shots"], column.entry);
  }
}

const renamed = (column) => column && { entry: column.entry, value: column.value };

// How many steps a point of a thinned series stands for.
function stretchOf(series) {
  const steps = Object.values(series)[0]?.step ?? [];
  return steps.length > 2 ? Math.max(1, steps[2] - steps[1]) : 1;
}

// Add newer rows to columns; how many they were.
function extend(columns, newer) {
  const last = columns.entry.at(-1) ?? 0;
  const first = newer.entry.findIndex((entry) => entry > last);
  if (first < 0) return 0;
  for (const [name, values] of Object.entries(newer)) columns[name]?.push(...values.slice(first));
  return newer.entry.length - first;
}

// Linear between known points, never falling, for entries in their order.
function between(entries, values, wanted) {
  let right = 0;
  let highest = -Infinity;
  return wanted.map((entry) => {
    while (right < entries.length - 1 && entries[right] < entry) right += 1;
    const left = Math.max(right - 1, 0);
    const [a, b] = [values[left] ?? 0, values[right] ?? 0];
    const width = entries[right] - entries[left];
    const part = width > 0 ? Math.min(Math.max((entry - entries[left]) / width, 0), 1) : 1;
    highest = Math.max(highest, a + part * (b - a));
    return highest;
  });
}
