// Every port: what it was set to or read, against its limits.
import { Chart } from "../chart.js";
import { AXES } from "../curves.js";
import { folder, get } from "../api.js";
import { el, put, say, select } from "../dom.js";
import { count, quantity, span } from "../format.js";
import { Panel } from "../panel.js";

const NEAR = 0.05; // of the range left to a limit: marked
const POINTS = 300;

// A calibration has no steps; what it found is in its figures.
export const wanted = (info) => (info.status === "running" || info.newest?.step > 0) && Object.keys(info.hardware?.start ?? {}).length + info.ports.command.length + info.ports.reading.length > 0;

export function create(run) {
  const cards = new Map();
  const place = el("div", { class: "cards" });
  let scale = "auto";
  const choose = (value) => {
    scale = value;
    for (const card of cards.values()) card.draw(scale);
  };
  const tools = [
    select(
      "scale",
      [
        ["auto", "actuators: limits, detectors: data"],
        ["limits", "limits"],
        ["data", "data"],
      ],
      scale,
      choose,
    ),
  ];
  const panel = new Panel("ports", "Ports", update, { every: 1500, tools, wide: true });
  panel.body.append(place);
  panel.onclose = () => cards.forEach((card) => card.close());
  async function update() {
    const ports = await get(`${folder(run.name)}/ports?points=${POINTS}`, run.signal);
    const order = Object.keys(ports).sort((a, b) => rank(ports[a]) - rank(ports[b]) || a.localeCompare(b));
    for (const name of order) {
      if (!cards.has(name)) cards.set(name, new Card(name));
      cards.get(name).set(ports[name], scale, run.info.newest?.step ?? 0);
    }
    const roots = order.map((name) => cards.get(name).root);
    if (roots.some((root, index) => root !== place.children[index])) put(place, roots);
  }
  return panel;
}

const rank = (port) => (port.kind === "command" ? 0 : 1) + (port.entry?.length ? 0 : 2);

// How much of the range is left to the nearer limit, of the whole run; null where a limit is not known.
export function margin(port) {
  const room = port.upper - port.lower;
  const low = Math.min(...port.min.filter((value) => value !== null));
  const high = Math.max(...port.max.filter((value) => value !== null));
  if (port.lower === null || port.upper === null || !(room > 0) || !Number.isFinite(low) || !Number.isFinite(high)) return null;
  return Math.min(port.upper - high, low - port.lower) / room;
}

class Card {
  #charts = [];

  constructor(name) {
    this.mark = el("span", { class: "mark" });
    this.about = el("p", { class: "muted" });
    this.now = el("p", { class: "now" });
    this.words = el("p", {
      class: "words",
      title: "margin: what is left to the nearer limit over the whole run, in % of the range between limits",
    });
    this.place = el("div", {});
    const head = el("header", {}, el("h3", {}, name), this.mark);
    this.root = el("article", { class: "card", "data-port": name }, head, this.about, this.now, this.words, this.place);
  }

  set(port, scale, newest) {
    this.port = port;
    this.newest = newest;
    const { unit, channels, driver } = port;
    say(this.about, [`${count(channels)} ${channels === 1 ? "channel" : "channels"}`, driver, port.identity].filter(Boolean).join(", "));
    const room = port.entry?.length ? margin(port) : null;
    const doing = port.kind === "command" ? "set to" : "read";
    const warm = port.temperature?.entry.length ? `, measured ${quantity(port.temperature.mean.at(-1), "degC")}` : "";
    const never = port.kind === "command" ? "no step has set it; it stays as it was" : "no step has read it";
    say(this.now, (port.entry?.length ? `${doing} ${newestOf(port)}` : never) + warm);
    say(this.words, [this.#limits(), this.#left(room), this.#bad()].filter(Boolean).join("; "));
    this.#marked(room);
    this.draw(scale);
  }

  draw(scale) {
    const { port } = this;
    const ends = [0, this.newest];
    const against = scale === "limits" || (scale === "auto" && port?.kind === "command");
    if (port?.entry?.length) {
      const shown = port.kind === "command" ? held(port, this.newest) : port;
      this.#chart(0, null, port.unit, against).set(range(shown, "min", "max", "c1"), AXES.steps, this.#lines(), ends);
    }
    if (port?.temperature?.entry.length) {
      const limited = port.unit === "degC";
      const chart = this.#chart(1, "temperature, measured", "degC", limited && against);
      chart.set(range(port.temperature, "low", "high", "c2"), AXES.steps, limited ? this.#lines() : [], ends);
    }
  }

  close() {
    for (const chart of this.#charts) chart?.close(); // a port that no step has used has only that of its temperature
  }

  #chart(index, title, unit, against) {
    const { lower, upper } = this.port;
    const known = against && lower !== null && upper !== null;
    const range = known
      ? (_, low, high) => padded(Math.min(lower, low ?? lower), Math.max(upper, high ?? upper))
      : (_, low, high) => fitting(low, high);
    this.#charts[index] ??= this.#add(title, unit);
    const chart = this.#charts[index];
    chart.rescale(range, String(known));
    return chart;
  }

  #add(title, unit) {
    const chart = new Chart({
      title,
      height: 120,
      sync: "run",
      legend: false,
      y: { format: (value, digits = 3) => quantity(value, unit, digits) },
    });
    this.place.append(chart.root);
    return chart;
  }

  #lines() {
    const { lower, upper, unit } = this.port;
    const found = [
      ["lower", lower],
      ["upper", upper],
    ].filter(([, value]) => value !== null && value !== undefined);
    return found.map(([side, value]) => ({ value, text: `${side} limit ${quantity(value, unit)}` }));
  }

  #limits() {
    const { lower, upper, unit, lower_rule: low, upper_rule: high } = this.port;
    if (lower === null || upper === null || lower === undefined) return "";
    const rules = [...new Set([low, high].flat().filter(Boolean))].join(", ");
    return `limits ${span(lower, upper, unit)}${rules ? ` (${rules})` : ""}`;
  }

  #left(room) {
    if (room === null) return "";
    return this.port.kind === "command" ? `margin ${number(100 * room)}\u00a0%` : "";
  }

  #bad() {
    const sum = (name) => (this.port[name] ?? []).reduce((total, value) => total + (value ?? 0), 0);
    const [saturated, bad] = [sum("saturated"), sum("bad")];
    return [saturated ? `${count(saturated)} readings saturated` : "", bad ? `${count(bad)} readings are no numbers` : ""]
      .filter(Boolean)
      .join("; ");
  }

  #marked(room) {
    const actuator = this.port.kind === "command";
    const state = !actuator || room === null || room > NEAR ? "" : room <= 1e-6 ? "at limit" : "near limit";
    say(this.mark, state);
    this.root.dataset.limit = state;
  }
}

const number = (value) => quantity(Math.max(value, 0) < 1e-4 && value > -1e-4 ? 0 : value, "1", 2);

function newestOf({ unit, min, max, mean }) {
  const [low, high] = [min.at(-1), max.at(-1)];
  return low === high ? quantity(high, unit) : `${span(low, high, unit)}, mean ${quantity(mean.at(-1), unit, 3)}`;
}

function range(columns, low, high, color) {
  const points = columns.step.length < 3;
  return [{ name: "mean", color, points, x: columns.step, value: columns.mean, low: columns[low], high: columns[high] }];
}

// What an actuator was set to last, it still is.
function held(port, newest) {
  if (port.step.at(-1) >= newest) return port;
  const more = { step: [...port.step, newest] };
  for (const name of ["min", "mean", "max"]) more[name] = [...port[name], port[name].at(-1)];
  return { ...port, ...more };
}

function padded(low, high) {
  const more = 0.06 * (high - low || 1);
  return [low - more, high + more];
}

function fitting(low, high) {
  if (low === null || high === null || low === undefined) return [0, 1];
  return low === high ? padded(low - Math.abs(low || 1) * 0.05, high + Math.abs(high || 1) * 0.05) : padded(low, high);
}
