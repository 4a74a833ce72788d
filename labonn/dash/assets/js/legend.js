// The legend of a chart: which line is which, its value under the cursor or its newest, and a click hides it.
import { el, put, say, svg } from "./dom.js";

export class Legend {
  #rows = [];
  #shape = "";
  #hidden = new Set();

  // `toggle(index, shown)`.
  constructor(toggle) {
    this.toggle = toggle;
    this.root = el("div", { class: "legend" });
  }

  hides(name) {
    return this.#hidden.has(name);
  }

  newest(line) {
    return line.value.findLast((value) => value !== null && value !== undefined) ?? null;
  }

  set(lines, format) {
    this.format = format;
    this.lines = lines;
    const shape = JSON.stringify(lines.map((line) => [line.name, line.color, line.dash, line.points]));
    if (shape !== this.#shape) this.#make(lines);
    this.#shape = shape;
    this.at(null);
  }

  // Values at a place of the data (uPlot's index), or the newest; where a line has no point, its last before.
  at(index, data) {
    this.lines?.forEach((line, row) => {
      let value = this.newest(line);
      if (index !== null && index !== undefined) {
        const column = data[line.series];
        let place = index;
        while (place > 0 && column[place] === null) place -= 1;
        value = column[place];
      }
      if (this.#rows[row]) say(this.#rows[row].value, this.format(value));
    });
  }

  #make(lines) {
    this.#rows = lines.map((line, index) => {
      const value = el("span", { class: "value" });
      const hidden = this.#hidden.has(line.name);
      const button = el("button", { type: "button", class: "quiet", "aria-pressed": String(!hidden), onclick: () => this.#flip(index) });
      button.append(swatch(line), line.name, " ", value);
      return { button, value };
    });
    put(
      this.root,
      this.#rows.map((row) => row.button),
    );
  }

  #flip(index) {
    const { name } = this.lines[index];
    const shown = this.#hidden.delete(name);
    if (!shown) this.#hidden.add(name);
    this.#rows[index].button.setAttribute("aria-pressed", String(shown));
    this.toggle(index, shown);
  }
}

function swatch(line) {
  const style = `stroke:var(--${line.color})`;
  const dash = line.dash ? line.dash.map((length) => length * 0.7).join(" ") : null;
  const mark = line.points ? svg("circle", { cx: 11, cy: 5, r: 2.5, style: `fill:var(--${line.color})` }) : null;
  return svg(
    "svg",
    { width: 22, height: 10, "aria-hidden": "true" },
    svg("line", { x1: 1, x2: 21, y1: 5, y2: 5, "stroke-width": 2, "stroke-dasharray": dash, style }),
    mark,
  );
}
