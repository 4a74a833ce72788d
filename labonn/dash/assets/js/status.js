// How a run is, by colour and by word, and whether instruments were real.
import { el } from "./dom.js";

const WORDS = {
  running: "running",
  finished: "finished",
  interrupted: "interrupted",
  failed: "failed",
  died: "died",
  unreadable: "unreadable",
};

export function badge(status) {
  return el("span", { class: "status", "data-status": status }, WORDS[status] ?? status);
}

export function kind(dryRun) {
  if (dryRun === null || dryRun === undefined) return el("span", { class: "kind" }, "–");
  return dryRun ? el("span", { class: "kind dry" }, "dry run") : el("span", { class: "kind real" }, "REAL BENCH");
}
