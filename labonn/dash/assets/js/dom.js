// Elements from JavaScript. Text is always text, never markup: nothing that a run calls itself can become a script.
const SVG = "http://www.w3.org/2000/svg";

export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...present(children));
  return node;
}

const present = (children) => children.flat().filter((child) => child !== null && child !== undefined && child !== false);

export function put(node, ...children) {
  node.replaceChildren(...present(children));
  return node;
}

// Set a node's text, only if it differs: screen readers and selections are left alone otherwise.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
  return node;
}

// [lowest, highest], of any number of values; arguments of Math.max are limited.
export function extent(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

// A table of names and values; values may be nodes.
export function facts(pairs, attributes = {}) {
  const rows = pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  return el("dl", { class: "facts", ...attributes }, rows);
}

// A labelled choice; `chosen` is told the new value.
export function select(label, options, value, chosen) {
  const choices = options.map(([key, text]) => el("option", { value: key, selected: key === value }, text));
  return el("label", { class: "tool" }, `${label} `, el("select", { onchange: (event) => chosen(event.target.value) }, choices));
}

export function checkbox(label, value, chosen) {
  const box = el("input", { type: "checkbox", checked: value, onchange: (event) => chosen(event.target.checked) });
  return el("label", { class: "tool" }, box, ` ${label}`);
}
