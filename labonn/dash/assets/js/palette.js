// Colours of values: blue below, red above, the paper's own tone at zero. Lines: names of variables of the style sheet.
import { isDark } from "./theme.js";

// Okabe and Ito's, in tones that stand out from either background; with more runs than colours dashes tell them apart.
export const LINES = ["c1", "c2", "c3", "c4", "c5", "c6", "c7"];
const DASHES = [undefined, [7, 4], [2, 3], [9, 3, 2, 3]];

export const line = (index) => LINES[index % LINES.length];
export const dash = (index) => DASHES[index % DASHES.length];

const LIGHT = [
  [5, 48, 97],
  [67, 147, 195],
  [209, 229, 240],
  [250, 250, 248],
  [253, 219, 199],
  [214, 96, 77],
  [103, 0, 31],
];
const DARK = [
  [158, 202, 255],
  [66, 139, 202],
  [24, 66, 104],
  [22, 26, 30],
  [110, 42, 24],
  [214, 96, 60],
  [255, 190, 160],
];
const GRAYS = [
  [20, 22, 24],
  [245, 245, 243],
];

function tables(stops) {
  const table = new Uint8ClampedArray(256 * 3);
  for (let code = 0; code < 256; code += 1) {
    const place = (code / 255) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    for (let c = 0; c < 3; c += 1) table[3 * code + c] = stops[left][c] + (place - left) * (stops[left + 1][c] - stops[left][c]);
  }
  return table;
}

const TABLES = { light: tables(LIGHT), dark: tables(DARK), grays: tables(GRAYS) };

// 256 colours from low to high: diverging where zero lies between them.
export const scale = (diverging) => (diverging ? TABLES[isDark() ? "dark" : "light"] : TABLES.grays);

// A value's place among them, of -size to size, or of low to high.
export function code(value, low, high) {
  if (high === low) return 128;
  return Math.max(0, Math.min(255, Math.round((255 * (value - low)) / (high - low))));
}

export const css = (table, index) => `rgb(${table[3 * index]} ${table[3 * index + 1]} ${table[3 * index + 2]})`;

// What a scale of colours goes from and to: symmetric about zero, unless all values lie on one side.
export function domain(low, high) {
  if (low >= 0 || high <= 0) return { low, high, diverging: false };
  const size = Math.max(-low, high);
  return { low: -size, high: size, diverging: true };
}

export const gradient = (table) =>
  `linear-gradient(to right, ${[0, 51, 102, 128, 153, 204, 255].map((index) => css(table, index)).join(", ")})`;
