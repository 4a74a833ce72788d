// The server's events: what is new, whether it is there at all; silent while nobody looks at the page.
import { say } from "./dom.js";

const AGAIN_MS = 1500;
const WORDS = { live: "live", lost: "not connected, trying again", waiting: "connecting …" };

function show(state) {
  const place = document.getElementById("connection");
  place.dataset.state = state;
  say(place, WORDS[state]);
}

// Follow one run, or (null) the list. `heard.run(event)`, `heard.runs()`; `heard.back()` after a gap: ask for everything again.
export function follow(run, heard) {
  let source = null;
  let timer = 0;
  let missed = false;

  const shut = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    shut();
    if (document.hidden) return;
    source = new EventSource(run === null ? "api/live" : `api/live?run=${encodeURIComponent(run)}`);
    source.onopen = () => {
      show("live");
      if (missed) heard.back?.();
      missed = false;
    };
    // EventSource tries again by itself, but gives up on an answer like 503: here it never does.
    source.onerror = () => {
      shut();
      show("lost");
      missed = true;
      timer = setTimeout(open, AGAIN_MS);
    };
    source.addEventListener("run", (event) => heard.run?.(JSON.parse(event.data)));
    source.addEventListener("runs", () => heard.runs?.());
  };
  const turned = () => {
    if (document.hidden) missed = true;
    open();
  };
  show("waiting");
  document.addEventListener("visibilitychange", turned);
  open();
  return () => {
    document.removeEventListener("visibilitychange", turned);
    shut();
  };
}
