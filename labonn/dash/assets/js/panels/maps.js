// Maps of a chip: its meshes as they lie on it, every coupler in the colour of its value.
import { folder, get } from "../api.js";
import { el, extent, say } from "../dom.js";
import { Mesh } from "../mesh.js";
import { count, quantity, span } from "../format.js";
import { domain, gradient, scale } from "../palette.js";
import { Panel } from "../panel.js";
import { onTheme } from "../theme.js";

const EXACT = 4096; // values: larger maps are on record in 256 levels, whose outer ones are at the limits then
const GAP = 10; // CSS pixels between meshes
const CAPTION = 62; // CSS pixels that a narrow mesh takes for its name
const [SMALL, LARGE] = [4.5, 14]; // CSS pixels a column: smaller ones are wrapped, larger ones are not needed

export const wanted = (info) => Object.keys(info.maps).length > 0;

export function create(run) {
  const maps = new Map();
  const panel = new Panel("maps", "Map of the chip", update, { every: 1500, wide: true });
  panel.onclose = () => maps.forEach((map) => map.close());
  async function update() {
    for (const [name, layout] of Object.entries(run.info.maps)) {
      const found = await get(`${folder(run.name)}/maps/${encodeURIComponent(name)}`, run.signal);
      if (!maps.has(name)) {
        maps.set(name, new ChipMap(name, layout));
        panel.body.append(maps.get(name).root);
      }
      maps.get(name).set(found);
    }
  }
  return panel;
}

class ChipMap {
  #forget;
  #meshes = [];
  #resize;

  constructor(name, layout) {
    Object.assign(this, { name, layout });
    this.words = el("p", { class: "words" });
    this.told = el("p", { class: "pointed", role: "status" }, "Point at a coupler, or move to one with the arrow keys.");
    this.scale = el("div", { class: "scale" });
    let first = 0;
    for (const [part, number] of layout.parts) {
      this.#meshes.push(new Mesh(this, part, first, number));
      first += number;
    }
    this.meshes = el(
      "div",
      { class: "meshes", style: `gap:${GAP}px` },
      this.#meshes.map((mesh) => mesh.root),
    );
    this.#resize = new ResizeObserver(() => this.#draw());
    this.#resize.observe(this.meshes);
    this.root = el(
      "figure",
      { class: "map", "data-map": name },
      el("h3", {}, `${name}: ${layout.title}`),
      this.words,
      this.meshes,
      this.scale,
      this.told,
    );
    this.#forget = onTheme(() => this.#draw());
  }

  close() {
    this.#forget();
    this.#resize.disconnect();
  }

  set({ entry, step, values }) {
    if (entry === this.entry) return;
    Object.assign(this, { entry, step, values });
    this.#draw();
  }

  atLimit(value) {
    const { lower, upper } = this.layout;
    const room = (upper - lower) * (this.layout.x.length > EXACT ? 1 / 510 : 1e-6);
    return value !== null && (Math.abs(value - upper) <= room || Math.abs(value - lower) <= room);
  }

  point(part, place, index, tall) {
    const { unit, x, y } = this.layout;
    const value = this.values[index];
    const limit = this.atLimit(value) ? ", at its limit" : "";
    const ports = tall === 2 ? `ports ${y[index]} and ${y[index] + 1}` : `port ${y[index]}`;
    say(this.told, `${part}/${place}: ${quantity(value, unit)}${limit} (column ${x[index]}, ${ports})`);
  }

  #draw() {
    if (!this.values || !this.meshes.clientWidth) return;
    const { lower, upper, unit } = this.layout;
    const known = this.values.filter((value) => value !== null);
    const stuck = known.filter((value) => this.atLimit(value)).length;
    const limits = span(lower, upper, unit);
    const values = known.length ? span(...extent(known), unit) : "–";
    const most = stuck ? `${count(stuck)} at a limit, outlined` : "none at a limit";
    say(this.words, `step ${count(this.step)}; ${count(known.length)} values, ${values}; limits ${limits}; ${most}`);
    this.domain = domain(lower, upper);
    this.table = scale(this.domain.diverging);
    const cell = this.#cell();
    for (const mesh of this.#meshes) mesh.draw(cell);
    this.#legend();
  }

  // All meshes in one row, as light goes through them, if that can be read; else as large as the widest allows, in several rows.
  #cell() {
    const columns = this.#meshes.map((mesh) => mesh.columns);
    const wide = this.meshes.clientWidth;
    const row =
      (wide - GAP * columns.length - CAPTION * columns.filter((number) => number < 6).length) /
      columns.reduce((sum, number) => sum + number, 0);
    return Math.min(LARGE, row >= SMALL ? row : Math.min(2 * SMALL, wide / Math.max(...columns)));
  }

  // The scale of colours; symmetric about zero, so that limits that are not have marks on it.
  #legend() {
    const { low, high } = this.domain;
    const { lower, upper, unit } = this.layout;
    const mark = (value) =>
      el("i", { class: "limit", style: `left:${(100 * (value - low)) / (high - low)}%`, title: `limit ${quantity(value, unit)}` });
    const bar = el("span", { class: "colors", style: `background:${gradient(this.table)}` }, mark(lower), mark(upper));
    this.scale.replaceChildren(el("span", {}, quantity(low, unit, 3)), bar, el("span", {}, quantity(high, unit, 3)));
  }
}
