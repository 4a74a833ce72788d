// Numbers with their units, times and names, as people read them.
const PREFIXES = [
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
  [1, ""],
  [1e-3, "m"],
  [1e-6, "µ"],
  [1e-9, "n"],
  [1e-12, "p"],
];
const SCALED = new Set(["V", "A", "W", "Hz", "m", "ohm", "s"]);
const NONE = "–";
const SPACE = "\u00a0"; // a number and its unit stay in one line
const minus = (text) => text.replace(/^-/, "−");
const known = (value) => typeof value === "number" && Number.isFinite(value);

// So many significant digits, thousands grouped as the terminal prints them.
export function number(value, digits = 4) {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return minus(Number(value.toPrecision(digits)).toExponential());
  if (size >= 10 ** digits) return minus(Math.round(value).toLocaleString("en-US"));
  return minus(Number(value.toPrecision(digits)).toLocaleString("en-US", { maximumFractionDigits: 12 }));
}

export const count = (value) => (known(value) ? minus(Math.round(value).toLocaleString("en-US")) : NONE);
export const percent = (value, digits = 3) => (known(value) ? `${number(100 * value, Math.max(digits, 3))}${SPACE}%` : NONE);

function prefix(size) {
  return PREFIXES.find(([scale]) => size >= scale * 0.9999999) ?? PREFIXES.at(-1);
}

// 0.0123, "A" -> "12.3 mA". Some units (degC, rad, 1) take no prefix.
export function quantity(value, unit, digits = 4) {
  if (!known(value)) return NONE;
  if (!unit || unit === "1") return number(value, digits);
  const shown = unit === "degC" ? "°C" : unit === "ohm" ? "Ω" : unit;
  if (!SCALED.has(unit)) return `${number(value, digits)}${SPACE}${shown}`;
  const [scale, letter] = value === 0 ? [1, ""] : prefix(Math.abs(value));
  return `${number(value / scale, digits)}${SPACE}${letter}${shown}`;
}

// Both ends of a range with the prefix of the larger: "-3.6 to 3.6 V".
export function span(low, high, unit, digits = 3) {
  if (low === high) return quantity(high, unit, digits);
  const size = Math.max(Math.abs(low ?? 0), Math.abs(high ?? 0));
  if (!SCALED.has(unit) || !size) return `${number(low, digits)} to ${quantity(high, unit, digits)}`;
  const [scale, letter] = prefix(size);
  const last = 10 ** (Math.floor(Math.log10(size / scale)) - digits + 1); // no digits that the larger end does not have
  const shown = (value) => number(Math.round(value / scale / last) * last, digits);
  return `${shown(low)} to ${shown(high)}${SPACE}${letter}${unit === "ohm" ? "Ω" : unit}`;
}

// For axes: 1500 -> "1.5k".
export function short(value) {
  if (!known(value)) return "";
  const [scale, letter] = Math.abs(value) >= 1000 ? prefix(Math.abs(value)) : [1, ""];
  return `${number(value / scale, 4)}${letter}`;
}

export function duration(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 1) return seconds > 0 ? quantity(seconds, "s", 3) : `0${SPACE}s`;
  if (seconds < 60) return `${number(seconds, 3)}${SPACE}s`;
  const whole = Math.round(seconds);
  const [d, h, m, s] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return s ? `${m} min ${s} s` : `${m} min`;
}

// For what is not known better: "45 s", "21 min", "3.5 h".
export function roughly(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 90) return `${Math.max(5, 5 * Math.round(seconds / 5))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 1800) / 2} h`;
}

// Seconds since 1970, or text that says when -> local date and time; today's without the date.
export function when(time) {
  const date = typeof time === "number" ? new Date(time * 1000) : new Date(time);
  if (time === null || time === undefined || Number.isNaN(date.getTime())) return NONE;
  const clock = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return date.toDateString() === new Date().toDateString() ? clock : `${date.toLocaleDateString()} ${clock}`;
}

// "validation_accuracy" -> "validation accuracy", "bench_time_s" -> "bench time".
export const label = (name) => name.replace(/_s$/, "").replaceAll("_", " ");

// A value of settings, results or metrics by its name: accuracies in %, times as durations.
export function named(name, value) {
  if (value === null || value === undefined) return NONE;
  if (typeof value === "number" && /accuracy$/.test(name)) return percent(value);
  if (typeof value === "number" && /_s$/.test(name)) return duration(value);
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : number(value, 4);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "string" ? value : JSON.stringify(value);
}
