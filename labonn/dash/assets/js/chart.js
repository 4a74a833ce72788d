// A chart of lines over a common x axis: uPlot, with colours of the theme, bands, limits, and a legend that says the values.
import { el } from "./dom.js";
import { Legend } from "./legend.js";
import { number } from "./format.js";
import { color, isDark, onTheme } from "./theme.js";

const AXIS = { font: "11px system-ui, sans-serif", labelFont: "11px system-ui, sans-serif", labelGap: 0, labelSize: 16, gap: 4 };

// A colour with less of it: for bands.
const faint = (name) => color(name).replace(/^rgba?\(([^)]*)\)$/, (_, rgb) => `rgb(${rgb.replaceAll(",", "")} / 0.18)`);

// Lines with x of their own -> uPlot's one x for all, and gaps where a line has no point.
export function joined(lines, ends = []) {
  const xs = [...new Set([...ends, ...lines.flatMap((line) => line.x)])].filter(Number.isFinite).sort((a, b) => a - b);
  const place = new Map(xs.map((x, index) => [x, index]));
  const spread = (line, values) => {
    const found = new Array(xs.length).fill(null);
    line.x.forEach((x, index) => place.has(x) && (found[place.get(x)] = values[index] ?? null));
    return found;
  };
  return [xs, ...lines.flatMap((line) => [line.value, ...(line.low ? [line.low, line.high] : [])].map((values) => spread(line, values)))];
}

export class Chart {
  #plot = null;
  #lines = [];
  #shape = "";
  #zoom = null;
  #forget;
  #resize;

  // y: {format, range?}; x: {label, format}; limits: [{value, text}]; sync: charts whose cursors go together.
  constructor({ title, height = 220, y = {}, sync = null, legend = true }) {
    Object.assign(this, { title, height, y, sync, x: { label: "steps", format: String }, log: false, limits: [], ends: [] });
    this.place = el("div", { class: "plot", role: "img", style: `height:${height}px` });
    this.whole = el("button", { type: "button", class: "quiet whole", hidden: true, onclick: () => this.#unzoom() }, "show all");
    this.legend = new Legend((index, shown) => this.#plot?.setSeries(this.#lines[index].series, { show: shown }));
    const head = title ? el("h3", {}, title) : null;
    this.root = el(
      "figure",
      { class: "chart" },
      el("div", { class: "head" }, head, this.whole),
      this.place,
      legend ? this.legend.root : null,
    );
    this.#forget = onTheme(() => this.#plot?.redraw());
    this.#resize = new ResizeObserver(() => this.#fit());
    this.#resize.observe(this.place);
  }

  // lines: [{name, color, dash?, points?, x, value, low?, high?}]; x: {label, format} of the axis; ends: x to be in sight whatever is drawn.
  set(lines, x = this.x, limits = this.limits, ends = this.ends) {
    if (x.label !== this.x.label) this.#zoom = null;
    Object.assign(this, { x, limits, ends });
    const shape = JSON.stringify([
      x.label,
      this.log,
      this.y.key,
      lines.map((line) => [line.name, line.color, line.dash, !!line.low, !!line.points]),
    ]);
    this.#number(lines);
    const data = joined(this.log ? lines.map(positive) : lines, ends);
    if (!data[0].length) return;
    if (this.#plot && shape === this.#shape) this.#plot.setData(data, !this.#zoom);
    else this.#make(data, shape);
    if (this.#zoom) this.#plot.setScale("x", this.#zoom);
    this.whole.hidden = !this.#zoom;
    this.legend.set(this.#lines, this.y.format ?? number);
    this.root.dataset.newest = data[0].at(-1);
    this.#describe();
  }

  setLog(log) {
    this.log = log;
    this.set(this.#lines);
  }

  // Another range of y: a function as uPlot wants it, and a word that says which.
  rescale(range, key) {
    this.y = { ...this.y, range, key };
  }

  close() {
    this.#forget();
    this.#resize.disconnect();
    this.#plot?.destroy();
  }

  // Where each line stands among uPlot's series: bands take two more each.
  #number(lines) {
    let next = 1;
    this.#lines = lines.map((line) => {
      const series = next;
      next += line.low ? 3 : 1;
      return { ...line, series };
    });
  }

  #make(data, shape) {
    const hidden = new Set(this.#lines.filter((line) => this.legend.hides(line.name)).map((line) => line.series));
    this.#plot?.destroy();
    this.#shape = shape;
    const series = [{}, ...this.#lines.flatMap((line) => seriesOf(line))];
    for (const index of hidden) series[index].show = false;
    this.#plot = new uPlot(this.#options(series), data, this.place);
  }

  #options(series) {
    const style = { stroke: () => color("muted"), grid: { stroke: () => color("grid"), width: 1 }, ticks: { show: false }, ...AXIS };
    const wide = Math.max(this.place.clientWidth, 50);
    const format = this.y.format ?? number;
    return {
      width: wide,
      height: this.height,
      series,
      legend: { show: false },
      padding: [8, 12, 0, 0],
      cursor: { sync: this.sync ? { key: this.sync, setSeries: false } : undefined, drag: { x: true, y: false }, points: { size: 6 } },
      scales: { x: { time: false }, y: { distr: this.log ? 3 : 1, range: this.log ? undefined : this.y.range } },
      axes: [
        { ...style, label: this.x.label, size: 24, values: (_, ticks) => ticks.map((tick) => this.x.format(tick)) },
        {
          ...style,
          space: this.height < 150 ? 20 : 32,
          size: (_, values) => 14 + 6.4 * Math.max(3, ...(values ?? []).map((value) => value?.length ?? 0)),
          values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : format(tick, digitsOf(ticks)))),
        },
      ],
      bands: this.#lines
        .filter((line) => line.low)
        .map((line) => ({ series: [line.series + 2, line.series + 1], fill: () => faint(line.color) })),
      hooks: {
        draw: [(plot) => drawLimits(plot, this.limits)],
        setCursor: [(plot) => this.legend.at(plot.cursor.idx, plot.data)],
        setSelect: [(plot) => this.#zoomed(plot)],
        ready: [(plot) => plot.over.addEventListener("dblclick", () => this.#unzoom())],
      },
    };
  }

  #zoomed(plot) {
    const { left, width } = plot.select;
    if (width < 3) return;
    this.#zoom = { min: plot.posToVal(left, "x"), max: plot.posToVal(left + width, "x") };
    this.whole.hidden = false;
  }

  #unzoom() {
    this.#zoom = null;
    this.whole.hidden = true;
    this.set(this.#lines);
  }

  #fit() {
    const width = this.place.clientWidth;
    if (this.#plot && width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: this.height });
  }

  #describe() {
    const format = this.y.format ?? number;
    const words = this.#lines.map((line) => `${line.name} ${format(this.legend.newest(line))}`);
    this.place.setAttribute("aria-label", `${this.title ?? ""} against ${this.x.label}; newest: ${words.join(", ")}`.trim());
  }
}

// As many significant digits as tell one tick from the next.
function digitsOf(ticks) {
  const known = ticks.filter((tick) => tick !== null);
  const step = known.length > 1 ? Math.abs(known[1] - known[0]) : 0;
  const most = Math.max(...known.map(Math.abs));
  return step && most ? Math.max(3, Math.ceil(Math.log10(most / step)) + 2) : 3;
}

function seriesOf(line) {
  const stroke = () => color(line.color);
  const points = line.points ? { show: true, size: 5, stroke, fill: stroke } : { show: false };
  const main = { stroke, width: line.width ?? 1.5, dash: line.dash, points, spanGaps: true };
  const edge = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true };
  return line.low ? [main, edge, { ...edge }] : [main];
}

const above = (values) => values?.map((value) => (value > 0 ? value : null));
const positive = (line) => ({ ...line, value: above(line.value), low: above(line.low), high: above(line.high) });

// Dashed lines across the chart, with their words, where they are in sight.
function drawLimits(plot, limits) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = color("limit");
  Object.assign(ctx, { textAlign: "left", textBaseline: "alphabetic" }); // the axes leave theirs behind
  ctx.lineWidth = (isDark() ? 1 : 1.2) * ratio;
  ctx.font = `${10 * ratio}px system-ui, sans-serif`;
  for (const { value, text } of limits) {
    const y = Math.round(plot.valToPos(value, "y", true));
    if (!Number.isFinite(y) || y < bbox.top - 1 || y > bbox.top + bbox.height + 1) continue;
    ctx.setLineDash([6 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    const under = y < bbox.top + 16 * ratio;
    ctx.fillText(text, bbox.left + 4 * ratio, under ? y + 11 * ratio : y - 4 * ratio);
  }
  ctx.restore();
}
