// How the run was set up: settings, versions, instruments, the bench file; folded until somebody asks.
import { folder, text } from "../api.js";
import { el, facts, put } from "../dom.js";
import { count, named, span } from "../format.js";
import { Panel } from "../panel.js";

export const wanted = () => true;

export function create(run) {
  const panel = new Panel("settings", "Settings, versions, instruments", update, { wide: true });
  const bench = el("pre", { class: "scroll tall", tabindex: 0 }, "");
  const file = el("details", { ontoggle: (event) => event.target.open && load() }, el("summary", {}, "bench file"), bench);
  const [settings, versions, sessions, instruments] = [
    el("div", {}),
    el("div", {}),
    el("div", {}),
    el("div", { class: "scroll", tabindex: 0 }),
  ];
  const folds = [
    ["settings", settings],
    ["versions", versions],
    ["sessions", sessions],
    ["instruments", instruments],
  ];
  panel.body.append(...folds.map(([name, what]) => el("details", {}, el("summary", {}, name), what)), file);
  async function load() {
    try {
      bench.textContent = await text(`${folder(run.name)}/bench`, run.signal);
    } catch (problem) {
      bench.textContent = problem.message;
    }
  }
  let shown = "";
  async function update() {
    const { info } = run;
    const now = JSON.stringify([info.settings, info.versions, info.sessions, info.hardware]);
    if (now === shown) return;
    shown = now;
    put(
      settings,
      facts(
        Object.entries(info.settings)
          .sort(([a], [b]) => a.localeCompare(b))
          .map(([name, value]) => [name, plain(value)]),
      ),
    );
    put(versions, facts(Object.entries(info.versions ?? {}).map(([name, value]) => [name, plain(value)])));
    put(sessions, info.sessions.map(session));
    put(instruments, table(info.hardware?.start ?? {}));
  }
  return panel;
}

const plain = (value) => (value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

function session(one) {
  const { settings, versions, result, calibrations, ...rest } = one;
  return facts(
    Object.entries(rest)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, date(name, value)]),
  );
}

const date = (name, value) => (["started", "ended"].includes(name) ? new Date(value * 1000).toLocaleString() : plain(value));

function table(ports) {
  const heads = ["port", "kind", "instrument", "driver", "links", "channels", "limits"].map((text) => el("th", { scope: "col" }, text));
  const rows = Object.entries(ports).map(([name, port]) =>
    el(
      "tr",
      {},
      [name, port.kind, port.identity, port.driver, (port.links ?? []).join(" "), count(port.channels), limits(port)].map((value) =>
        el("td", {}, value ?? "–"),
      ),
    ),
  );
  return el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows));
}

function limits({ lower, upper, unit }) {
  const ends = [lower, upper].map((value) => [value].flat().filter((one) => typeof one === "number"));
  if (!ends[0].length || !ends[1].length) return named("", null);
  return span(Math.max(...ends[0]), Math.min(...ends[1]), unit);
}
