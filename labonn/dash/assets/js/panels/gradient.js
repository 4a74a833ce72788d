// How good the gradient is: its size beside its standard error, and the cosine that noise leaves of it.
import { Chart } from "../chart.js";
import { AXES } from "../curves.js";
import { checkbox, el } from "../dom.js";
import { number } from "../format.js";
import { everyStep } from "./learning.js";
import { Panel } from "../panel.js";

const SIZES = [
  ["gradient_rms", "gradient, rms", "c1"],
  ["standard_error_rms", "standard error, rms", "c2"],
];

export const wanted = (info) => info.metrics.step.some((name) => SIZES.some(([size]) => size === name));

export function create(run) {
  const sizes = new Chart({ title: "size of a parameter's gradient", height: 240, sync: "run" });
  sizes.log = true;
  sizes.root.querySelector(".head").append(checkbox("log", true, (on) => sizes.setLog(on)));
  const cosine = new Chart({
    title: "cosine with the true gradient, expected from noise",
    height: 240,
    sync: "run",
    y: { range: () => [0, 1.02] },
  });
  const panel = new Panel("gradient", "Gradient", update, { wide: true });
  panel.body.append(el("div", { class: "charts" }, sizes.root, cosine.root));
  panel.onclose = () => [sizes, cosine].forEach((chart) => chart.close());
  const one = (name, text, color) => {
    const column = run.curves.step[name];
    const known = column?.value.some((value) => value !== null);
    const words = run.curves.stretch > 1 ? `${text}, ${everyStep(run.curves)}` : text;
    return known ? [{ name: words, color, x: column.step, value: column.value, low: column.low, high: column.high }] : [];
  };
  async function update() {
    await run.curves.fresh();
    sizes.set(
      SIZES.flatMap(([name, text, color]) => one(name, text, color)),
      AXES.steps,
    );
    const found = one("gradient_cosine", "cosine", "c3");
    cosine.root.hidden = !found.length;
    if (found.length) cosine.set(found, AXES.steps, [{ value: 0.7, text: `${number(0.7)}: below it a believed gradient is not used` }]);
  }
  return panel;
}
