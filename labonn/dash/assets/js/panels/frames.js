// What actuators show at this moment, as images: SLM frames, and the channels of other ports in rows.
import { folder, get } from "../api.js";
import { el, say } from "../dom.js";
import { count, quantity, span } from "../format.js";
import { Image } from "../image.js";
import { Panel } from "../panel.js";

export const wanted = (info) => info.frames.length > 0;

export function create(run) {
  const cards = new Map();
  const place = el("div", { class: "cards" });
  const panel = new Panel("frames", "Frames of actuators", update, { every: 2000, wide: true });
  panel.body.append(place);
  panel.onclose = () => cards.forEach((card) => card.close());
  async function update() {
    for (const port of run.info.frames) {
      const frame = await get(`${folder(run.name)}/frames/${encodeURIComponent(port)}`, run.signal);
      if (!cards.has(port)) {
        cards.set(port, new Card(port));
        place.append(cards.get(port).root);
      }
      cards.get(port).set(frame);
    }
  }
  return panel;
}

class Card {
  #frame = {};

  constructor(port) {
    this.port = port;
    this.image = new Image(this.port);
    this.words = el("p", { class: "words" });
    this.bar = el("div", { class: "scale" });
    const open = el(
      "button",
      { type: "button", class: "picture", "aria-label": `enlarge the frame of ${port}`, onclick: () => this.#enlarge() },
      this.image.root,
    );
    this.root = el("article", { class: "card", "data-port": port }, el("header", {}, el("h3", {}, port)), this.words, open, this.bar);
  }

  close() {
    this.image.close();
    this.large?.close();
    this.dialog?.remove();
  }

  set(frame) {
    if (frame.entry === this.#frame.entry) return;
    this.#frame = frame;
    this.image.set(frame);
    this.large?.set(frame);
    const [rows, columns] = this.image.shape;
    const size = frame.shape
      ? `${count(rows)} × ${count(columns)}`
      : `${count(frame.channels)} channels${rows > 1 ? `, ${count(columns)} a row` : ""}`;
    say(this.words, `step ${count(frame.step)}; ${size}; ${span(frame.low, frame.high, frame.unit)}`);
    this.image.legend(this.bar);
  }

  #enlarge() {
    this.large?.close();
    this.dialog?.remove();
    const told = el("p", { class: "words", role: "status" }, "Point at a place to read its value.");
    this.large = new Image(this.port, (row, column, value) => {
      const where = this.#frame.shape ? `row ${row}, column ${column}` : `channel ${row * this.large.shape[1] + column}`;
      say(told, value === null ? "" : `${where}: ${quantity(value, this.#frame.unit)}`);
    });
    const bar = el("div", { class: "scale" });
    const shut = el("button", { type: "button", onclick: () => this.dialog.close() }, "Close");
    const head = el("header", {}, el("h3", {}, this.port), shut);
    this.dialog = el(
      "dialog",
      { class: "large", "aria-label": `frame of ${this.port}` },
      head,
      el("div", { class: "whole" }, this.large.root),
      bar,
      told,
    );
    document.body.append(this.dialog);
    this.large.set(this.#frame);
    this.large.legend(bar);
    this.dialog.showModal();
  }
}
