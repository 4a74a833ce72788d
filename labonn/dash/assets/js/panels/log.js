// Events and errors, newest first; tracebacks folded.
import { folder, get } from "../api.js";
import { el, put, select } from "../dom.js";
import { when } from "../format.js";
import { Panel } from "../panel.js";

const MOST = 200; // shown at a time
const LEVELS = ["debug", "info", "warning", "error"];

export const wanted = () => true;

export function create(run) {
  const events = new Map();
  let errors = [];
  let least = "debug";
  let most = MOST;
  const list = el("ol", { class: "log" });
  const more = el("button", { type: "button", class: "quiet", hidden: true }, "show older");
  const nodes = new Map(); // kept, so that what is unfolded stays so
  const draw = () => {
    const all = [...events.values(), ...errors.map((error, index) => ({ ...error, key: `error ${index}`, level: "error" }))];
    const rank = (level) => (LEVELS.includes(level) ? LEVELS.indexOf(level) : 1);
    const found = all.filter((one) => rank(one.level) >= rank(least)).sort((a, b) => b.time - a.time);
    const shown = found.slice(0, most).map((one) => nodes.get(one.key) ?? nodes.set(one.key, item(one)).get(one.key));
    more.hidden = found.length <= most;
    if (!shown.length) put(list, el("li", { class: "empty" }, "Nothing happened that is worth a line."));
    else if (shown.length !== list.children.length || shown.some((node, index) => node !== list.children[index])) put(list, shown);
  };
  more.addEventListener("click", () => {
    most += MOST;
    draw();
  });
  const chosen = (level) => {
    least = level;
    draw();
  };
  const tools = [
    select(
      "show",
      [
        ["debug", "everything"],
        ["warning", "warnings and errors"],
        ["error", "errors"],
      ],
      least,
      chosen,
    ),
  ];
  const panel = new Panel("log", "Events and errors", update, { every: 800, tools });
  panel.body.append(el("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "events" }, list, more));
  let newest = 0;
  async function update() {
    const told = await get(`${folder(run.name)}/log?since_event=${newest}`, run.signal);
    for (const event of told.events) events.set(event.event, { ...event, key: `event ${event.event}` });
    newest = Math.max(newest, ...told.events.map((event) => event.event));
    errors = told.errors;
    draw();
  }
  return panel;
}

function item(one) {
  const head = [el("time", {}, when(one.time)), el("span", { class: "level" }, one.level)];
  return el("li", { "data-level": one.level }, head, message(one));
}

// The first line in sight; what more there is, folded.
function message(one) {
  const text = one.class ? `${one.class}: ${one.text}` : one.text;
  const [first, ...rest] = text.split("\n");
  const folded = [rest.join("\n"), one.traceback].filter(Boolean).join("\n\n");
  if (!folded) return el("span", { class: "text" }, first);
  return el("details", { class: "text" }, el("summary", {}, first), el("pre", {}, folded));
}
