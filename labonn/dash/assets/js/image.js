// Values of 256 levels as an image: one pixel a channel, enlarged without smoothing.
import { el, put } from "./dom.js";
import { quantity } from "./format.js";
import { code, domain, gradient, scale } from "./palette.js";
import { onTheme } from "./theme.js";

export class Image {
  #forget;
  #codes = new Uint8Array();

  // `pointed(row, column, value)` while the pointer is over it; value null when it leaves.
  constructor(name, pointed = null) {
    this.name = name;
    this.shape = [1, 1];
    this.root = el("canvas", { class: "image", role: "img", width: 1, height: 1 });
    this.#forget = onTheme(() => this.#draw());
    if (pointed) {
      this.root.addEventListener("pointermove", (event) => pointed(...this.#at(event)));
      this.root.addEventListener("pointerdown", (event) => pointed(...this.#at(event)));
      this.root.addEventListener("pointerleave", () => pointed(0, 0, null));
    }
  }

  close() {
    this.#forget();
  }

  set(frame) {
    this.frame = frame;
    this.shape = frame.shape ?? rowsOf(frame.channels);
    this.#codes = Uint8Array.from(atob(frame.codes), (letter) => letter.charCodeAt(0));
    this.root.setAttribute(
      "aria-label",
      `${this.name}: values from ${quantity(frame.low, frame.unit)} to ${quantity(frame.high, frame.unit)}`,
    );
    this.#draw();
  }

  // The scale of colours, with what its ends mean.
  legend(place) {
    const { low, high, diverging } = domain(this.frame.low, this.frame.high);
    const bar = el("span", { class: "colors", style: `background:${gradient(scale(diverging))}` });
    put(place, el("span", {}, quantity(low, this.frame.unit, 3)), bar, el("span", {}, quantity(high, this.frame.unit, 3)));
    this.place = place;
  }

  #value(index) {
    return index < this.#codes.length ? this.#level(this.#codes[index]) : null;
  }

  #at(event) {
    const box = this.root.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * this.shape[0]);
    const column = Math.floor(((event.clientX - box.left) / box.width) * this.shape[1]);
    return [row, column, this.#value(row * this.shape[1] + column)];
  }

  #draw() {
    if (!this.frame) return;
    const [rows, columns] = this.shape;
    const { low, high, diverging } = domain(this.frame.low, this.frame.high);
    const table = scale(diverging);
    const places = Uint8Array.from({ length: 256 }, (_, index) => code(this.#level(index), low, high));
    const picture = new ImageData(columns, rows);
    this.#codes.forEach((value, index) => {
      const color = 3 * places[value];
      picture.data.set([table[color], table[color + 1], table[color + 2], 255], 4 * index);
    });
    Object.assign(this.root, { width: columns, height: rows });
    this.root.style.setProperty("--aspect", columns / rows);
    if (rows > 1) this.root.style.aspectRatio = `${columns} / ${rows}`;
    else Object.assign(this.root.style, { height: "1.8rem", objectFit: "fill" });
    this.root.getContext("2d").putImageData(picture, 0, 0);
    if (this.place) this.legend(this.place);
  }

  #level(code) {
    return this.frame.low + (code / 255) * (this.frame.high - this.frame.low);
  }
}

// Ports without a shape: a square where their number is one (an image's pixels), else rows of about the shape of a screen.
function rowsOf(channels) {
  const side = Math.sqrt(channels);
  if (channels <= 32) return [1, channels];
  const columns = Number.isInteger(side) ? side : Math.ceil(Math.sqrt(3 * channels));
  return [Math.ceil(channels / columns), columns];
}
