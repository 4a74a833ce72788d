// What detectors read lately, as histograms with the ends of their range; what was saturated is said in words.
import { folder, get } from "../api.js";
import { checkbox, el, put, say, svg } from "../dom.js";
import { count, quantity, span } from "../format.js";
import { Panel } from "../panel.js";

const [WIDTH, HEIGHT] = [320, 100];
const SMALL = 0.1; // of the range: data that fill less of it are drawn on an axis of their own

export const wanted = (info) => info.ports.reading.length > 0;

export function create(run) {
  const cards = new Map();
  const place = el("div", { class: "cards" });
  const options = { log: false, whole: false };
  const again = (name) => (on) => {
    options[name] = on;
    for (const card of cards.values()) card.draw(options);
  };
  const tools = [checkbox("log counts", false, again("log")), checkbox("whole range", false, again("whole"))];
  const panel = new Panel("histograms", "Detectors: histograms", update, { every: 1500, tools, wide: true });
  const none = el("p", { class: "empty" }, "No histogram on record yet.");
  panel.body.append(place);
  async function update() {
    const ports = await get(`${folder(run.name)}/histograms`, run.signal);
    const names = Object.keys(ports).sort();
    for (const name of names) {
      if (!cards.has(name)) cards.set(name, new Card(name));
      cards.get(name).set(ports[name], options);
    }
    const roots = names.length ? names.map((name) => cards.get(name).root) : [none];
    if (roots.some((root, index) => root !== place.children[index])) put(place, roots);
  }
  return panel;
}

class Card {
  constructor(name) {
    this.mark = el("span", { class: "mark" });
    this.words = el("p", { class: "words" });
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.ends = el("div", { class: "ends" });
    const head = el("header", {}, el("h3", {}, name), this.mark);
    this.root = el(
      "article",
      { class: "card", "data-port": name },
      head,
      this.words,
      el("div", { class: "histogram" }, this.picture),
      this.ends,
    );
  }

  set(port, options) {
    this.port = port;
    const { low, high, range, unit, saturated, saturated_total: total } = port;
    const fills = range ? Math.max(Math.abs(low), Math.abs(high)) / Math.max(Math.abs(range.low), Math.abs(range.high)) : null;
    const told = range ? `range ${span(range.low, range.high, unit)}, ${quantity(100 * fills, "%", 2)} of it used` : "range not known";
    const sum =
      total === null ? "those of the whole run are being counted" : total ? `${count(total)} since the run began` : "none since the run began";
    const lost = saturated ? `${count(saturated)} readings saturated, ${sum}` : total ? `none saturated now, ${sum}` : `saturated: ${sum}`;
    say(this.words, `step ${count(port.step)}; ${told}; ${lost}`);
    say(this.mark, saturated ? "saturated" : "");
    this.root.dataset.limit = saturated ? "at limit" : "";
    this.draw(options);
  }

  draw({ log, whole }) {
    const { low, high, counts, range, unit } = this.port;
    const wide = high - low || Math.abs(high) || 1;
    const alone = !range || (!whole && wide < SMALL * (range.high - range.low));
    const [from, to] = alone ? [low - 0.02 * wide, low + 1.02 * wide] : [Math.min(low, range.low), Math.max(high, range.high)];
    const edge = 0.01 * (to - from);
    const x = (value) => (WIDTH * (value - from + edge)) / (to - from + 2 * edge);
    const tall = (value) => (log ? Math.log10(1 + value) : value);
    const most = tall(Math.max(1, ...counts));
    const bar = (value, index) => {
      if (!value) return null;
      const left = x(low + (wide * index) / counts.length);
      const height = Math.max(1, ((HEIGHT - 4) * tall(value)) / most);
      const outside =
        range && (low + (wide * index) / counts.length < range.low || low + (wide * (index + 1)) / counts.length > range.high * (1 + 1e-9));
      const width = Math.max(0.8, (x(high) - x(low)) / counts.length - 0.15);
      return svg("rect", { x: left, y: HEIGHT - height, width, height, class: outside ? "outside" : null });
    };
    const ends = range && !alone ? [range.low, range.high] : [];
    const lines = ends.map((value) => svg("line", { x1: x(value), x2: x(value), y1: 0, y2: HEIGHT, class: "end" }));
    const zero = from < 0 && to > 0 ? svg("line", { x1: x(0), x2: x(0), y1: 0, y2: HEIGHT, class: "zero" }) : null;
    put(this.picture, zero, counts.map(bar), lines);
    const total = counts.reduce((sum, value) => sum + value, 0);
    this.picture.setAttribute("aria-label", `${count(total)} readings from ${quantity(low, unit)} to ${quantity(high, unit)}`);
    put(
      this.ends,
      el("span", {}, quantity(from, unit, 3)),
      el("span", {}, `${count(total)} readings`),
      el("span", {}, quantity(to, unit, 3)),
    );
  }
}
