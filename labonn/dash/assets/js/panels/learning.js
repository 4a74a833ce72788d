// Learning curves: loss, accuracy, and whatever else the run counts, against steps or what they cost.
import { Chart } from "../chart.js";
import { AXES } from "../curves.js";
import { checkbox, el, put, select } from "../dom.js";
import { count, label, number, percent } from "../format.js";
import { Panel } from "../panel.js";
import { dash, line } from "../palette.js";

const COSTS = new Set(["epoch", "steps", "shots", "settings", "evaluations", "bench_time_s"]);
const GRADIENT = /^gradient_|^standard_error_/;

export const wanted = (info) => info.metrics.step.length + info.metrics.report.length > 0;

// Which chart a metric belongs to.
export function chartOf(name) {
  if (COSTS.has(name) || GRADIENT.test(name)) return null;
  if (/loss$/.test(name)) return "loss";
  return /accuracy$/.test(name) ? "accuracy" : label(name);
}

const formats = (name) => (name === "accuracy" ? percent : number);

// What a point of a step's metric is.
export const everyStep = ({ stretch }) => (stretch > 1 ? `means of ${count(stretch)} steps` : "each step");

// Lines of one run for a chart: its steps as a line with a band, its reports as points.
export function lines(curves, names, axis, first = 0) {
  const found = [];
  for (const kind of ["step", "report"]) {
    for (const name of names) {
      const column = curves[kind][name];
      if (!column || column.value.every((value) => value === null)) continue;
      const index = first + found.length;
      const text = kind === "step" ? `${label(name)}, ${everyStep(curves)}` : label(name);
      const one = {
        name: text,
        color: line(index),
        dash: kind === "step" ? undefined : dash(index),
        x: curves.x(axis, column),
        value: column.value,
      };
      found.push(kind === "step" ? { ...one, low: column.low, high: column.high } : { ...one, points: true });
    }
  }
  return found;
}

export function create(run) {
  const charts = new Map();
  const place = el("div", { class: "charts" });
  const axis = el("span");
  const log = checkbox("log", false, (on) => charts.get("loss")?.setLog(on));
  let against = "steps";
  const draw = () => {
    const names = [...new Set([...run.info.metrics.step, ...run.info.metrics.report])];
    for (const title of new Set(names.map(chartOf).filter(Boolean))) {
      const found = lines(
        run.curves,
        names.filter((name) => chartOf(name) === title),
        against,
      );
      if (!found.length) continue;
      if (!charts.has(title)) add(charts, place, title, log);
      charts.get(title).set(found, AXES[against]);
    }
  };
  const offer = (known) => {
    if (axis.dataset.known === String(known)) return;
    axis.dataset.known = String(known);
    const chosen = (value) => {
      against = value;
      draw();
    };
    put(
      axis,
      select(
        "against",
        known.map((key) => [key, AXES[key].label]),
        against,
        chosen,
      ),
    );
  };
  const panel = new Panel("learning", "Learning", update, { tools: [axis], wide: true });
  panel.body.append(place);
  panel.onclose = () => charts.forEach((chart) => chart.close());
  async function update() {
    await run.curves.fresh();
    offer(run.curves.axes());
    draw();
    run.head.draw();
  }
  return panel;
}

function add(charts, place, title, log) {
  const main = title === "loss" || title === "accuracy";
  const chart = new Chart({ title, height: main ? 240 : 120, sync: "run", y: { format: formats(title) } });
  if (title === "loss") chart.root.querySelector(".head").append(log);
  chart.root.dataset.chart = title;
  charts.set(title, chart);
  const order = { loss: 0, accuracy: 1 };
  const sorted = [...charts].sort(([a], [b]) => (order[a] ?? 2) - (order[b] ?? 2));
  put(
    place,
    sorted.map(([, one]) => one.root),
  );
}
