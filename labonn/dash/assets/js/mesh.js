// One mesh of a chip on a canvas: ports are lines from left to right, couplers blocks on two of them, by column.
import { el, extent } from "./dom.js";
import { code, css } from "./palette.js";
import { color } from "./theme.js";

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Mesh {
  #drawn = null;
  #shown = null; // place in this mesh that is pointed at

  constructor(map, part, first, number) {
    Object.assign(this, { map, part, first, number });
    const { x, y } = map.layout;
    this.xs = x.slice(first, first + number);
    this.ys = y.slice(first, first + number);
    this.columns = extent(this.xs)[1] + 1;
    this.tall = apart(this.xs, this.ys) ? 2 : 1;
    this.rows = extent(this.ys)[1] + this.tall;
    this.places = new Map(this.xs.map((column, place) => [`${column},${this.ys[place]}`, place]));
    this.canvas = el("canvas", {
      tabindex: 0,
      role: "img",
      onkeydown: (event) => this.#key(event),
      onpointermove: (event) => this.#point(event),
      onpointerdown: (event) => this.#point(event),
    });
    this.root = el("figure", { class: "mesh" }, el("figcaption", {}, `${part} (${number})`), this.canvas);
  }

  // `cell`: CSS pixels a column.
  draw(cell = this.cell) {
    const { map, canvas } = this;
    const ratio = devicePixelRatio || 1;
    this.cell = cell;
    const [wide, tall] = [this.cell * this.columns, Math.max(this.cell * this.rows, 12)];
    Object.assign(canvas, { width: Math.round(wide * ratio), height: Math.round(tall * ratio) });
    Object.assign(canvas.style, { width: `${wide}px`, height: `${tall}px` });
    const paint = canvas.getContext("2d");
    paint.scale(ratio, ratio);
    this.#ports(paint, wide);
    const [low, high] = [map.domain.low, map.domain.high];
    const colors = Array.from({ length: 256 }, (_, index) => css(map.table, index));
    const [limit, edge] = [color("mark"), color("line")];
    this.xs.forEach((_, place) => {
      const value = map.values[this.first + place];
      const box = this.#box(place);
      paint.fillStyle = value === null ? "transparent" : colors[code(value, low, high)];
      paint.fillRect(...box);
      outline(paint, edge, ...box, 0.5); // a value of zero has the panel's own colour
      if (map.atLimit(value)) outline(paint, limit, ...box, Math.max(1.5, this.cell / 5));
    });
    this.#drawn = copyOf(canvas);
    this.#frame();
    this.#describe();
  }

  // The block that is pointed at, on what was drawn last.
  #frame() {
    const paint = this.canvas.getContext("2d");
    paint.setTransform(1, 0, 0, 1, 0, 0);
    paint.drawImage(this.#drawn, 0, 0);
    const ratio = devicePixelRatio || 1;
    paint.scale(ratio, ratio);
    if (this.#shown !== null) outline(paint, color("ink"), ...this.#box(this.#shown), 2);
  }

  #ports(paint, wide) {
    paint.strokeStyle = color("grid");
    paint.lineWidth = 1;
    paint.beginPath();
    for (let port = 0; port < this.rows; port += 1) {
      paint.moveTo(0, (port + 0.5) * this.cell);
      paint.lineTo(wide, (port + 0.5) * this.cell);
    }
    paint.stroke();
  }

  #box(place) {
    const gap = this.cell > 5 ? 1 : 0;
    return [this.xs[place] * this.cell + gap / 2, this.ys[place] * this.cell + gap / 2, this.cell - gap, this.tall * this.cell - gap];
  }

  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.cell);
    const row = Math.floor((event.clientY - box.top) / this.cell);
    this.#show(this.places.get(`${column},${row}`) ?? this.places.get(`${column},${row - 1}`));
  }

  // Arrow keys go to the nearest coupler that way.
  #key(event) {
    const way = KEYS[event.key];
    if (!way) return;
    event.preventDefault();
    const [x, y] = this.#shown === null ? [-1, 0] : [this.xs[this.#shown], this.ys[this.#shown]];
    const ahead = [...this.xs.keys()].filter((place) => (this.xs[place] - x) * way[0] + (this.ys[place] - y) * way[1] > 0);
    const far = (place) => {
      const [dx, dy] = [Math.abs(this.xs[place] - x), Math.abs(this.ys[place] - y)];
      return way[0] ? dx + 3 * dy : dy + 3 * dx;
    };
    this.#show(ahead.sort((a, b) => far(a) - far(b))[0]);
  }

  #show(place) {
    if (place === undefined || place === this.#shown) return;
    this.#shown = place;
    this.#frame();
    this.map.point(this.part, place, this.first + place, this.tall);
  }

  #describe() {
    const values = this.map.values.slice(this.first, this.first + this.number);
    const stuck = values.filter((value) => this.map.atLimit(value)).length;
    this.canvas.setAttribute(
      "aria-label",
      `mesh ${this.part}: ${this.number} values, ${stuck} at a limit; arrow keys move from coupler to coupler`,
    );
  }
}

function copyOf(canvas) {
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  copy.getContext("2d").drawImage(canvas, 0, 0);
  return copy;
}

function outline(paint, stroke, left, top, wide, tall, width) {
  paint.strokeStyle = stroke;
  paint.lineWidth = width;
  paint.strokeRect(left + width / 2, top + width / 2, wide - width, tall - width);
}

// Whether blocks of two ports would not lie on each other; amplifiers stand on every port, and are one port high.
function apart(xs, ys) {
  const taken = new Set(xs.map((x, place) => `${x},${ys[place]}`));
  return !xs.some((x, place) => taken.has(`${x},${ys[place] + 1}`));
}
