// What came out, once the run has ended; before, what its newest report says.
import { el, facts, put } from "../dom.js";
import { label, named } from "../format.js";
import { Panel } from "../panel.js";

export const wanted = (info) => info.result !== null || info.metrics.report.length > 0;

export function create(run) {
  const panel = new Panel("result", "Result", update);
  async function update() {
    if (run.info.result) {
      put(panel.body, facts(Object.entries(run.info.result).map(([name, value]) => [label(name), named(name, value)])));
      return;
    }
    await run.curves.fresh();
    const rows = Object.entries(run.curves.report).map(([name, column]) => [label(name), named(name, column.value.at(-1))]);
    put(
      panel.body,
      el("p", { class: "muted" }, rows.length ? "At its newest report:" : "No report yet."),
      rows.length ? facts(rows) : null,
    );
  }
  return panel;
}
