// Light and dark: the switch in the page's bar, and the style sheet's colours for what is drawn on canvases.
import { say } from "./dom.js";

const KEY = "labonn theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const system = matchMedia("(prefers-color-scheme: dark)");
const probe = document.createElement("span");
const known = new Map();
const listeners = new Set();

export const chosen = () => document.documentElement.dataset.theme ?? "auto";
export const isDark = () => (chosen() === "auto" ? system.matches : chosen() === "dark");

// A variable of the style sheet as a colour: what light-dark() means is asked of an element, which knows its theme.
export function color(name) {
  if (!known.has(name)) {
    if (!probe.isConnected) {
      probe.hidden = true;
      document.body.append(probe);
    }
    probe.style.color = `var(--${name})`;
    known.set(name, getComputedStyle(probe).color);
  }
  return known.get(name);
}

// Call `redraw` whenever colours change; returns what ends that.
export function onTheme(redraw) {
  listeners.add(redraw);
  return () => listeners.delete(redraw);
}

function changed() {
  known.clear();
  for (const redraw of listeners) redraw();
}

function keep(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // storage is forbidden: it holds for this page
  }
}

export function themeSwitch(button) {
  const show = () => {
    say(button, `${chosen()} theme`);
    button.setAttribute("aria-label", `theme: ${chosen()}; change to ${NEXT[chosen()]}`);
  };
  button.addEventListener("click", () => {
    keep(NEXT[chosen()]);
    show();
    changed();
  });
  system.addEventListener("change", changed);
  addEventListener("beforeprint", changed);
  addEventListener("afterprint", changed);
  show();
}
