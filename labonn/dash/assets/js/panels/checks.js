// What the run believes of its instruments: calibrations in use, and whether their drift checks passed.
import { folder, get } from "../api.js";
import { el, facts, put } from "../dom.js";
import { number, when } from "../format.js";
import { Panel } from "../panel.js";

const MOST = 100;

export const wanted = () => true;

export function create(run) {
  const panel = new Panel("checks", "Calibrations and drift checks", update, { every: 3000 });
  let shown = "";
  async function update() {
    const { checks } = await get(`${folder(run.name)}/log?since_event=${2 ** 31}`, run.signal);
    const calibrations = Object.entries(run.info.calibrations ?? {});
    const now = JSON.stringify([checks.length, calibrations]);
    if (now === shown) return;
    shown = now;
    put(
      panel.body,
      believed(calibrations),
      checks.length ? table(checks.slice(-MOST).reverse()) : el("p", { class: "empty" }, "No drift check on record."),
    );
  }
  return panel;
}

function believed(calibrations) {
  if (!calibrations.length) return el("p", {}, "No calibration is believed: nominal curves, and what the run measured itself.");
  return facts(calibrations.map(([what, id]) => [what, el("code", {}, id)]));
}

function table(checks) {
  const row = (check) =>
    el(
      "tr",
      { "data-passed": String(Boolean(check.passed)) },
      el("td", {}, when(check.time)),
      el("td", {}, check.name),
      el("td", { class: "number" }, number(check.value)),
      el("td", {}, allowed(check)),
      el("td", { class: "passed" }, check.passed ? "passed" : "FAILED"),
      el("td", {}, check.text ?? ""),
    );
  const heads = ["when", "check", "value", "allowed", "", ""].map((text) => el("th", { scope: "col" }, text));
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "drift checks" },
    el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, checks.map(row))),
  );
}

function allowed({ low, high }) {
  if (low === null && high === null) return "–";
  if (low === null) return `up to ${number(high)}`;
  return high === null ? `from ${number(low)}` : `${number(low)} to ${number(high)}`;
}
