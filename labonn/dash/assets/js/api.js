// Questions to the server that this page came from. Its errors are sentences, and are shown as they are.
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const NOT_THERE = "the server does not answer: is `labonn dash` still running?";

export const folder = (name) => `api/runs/${encodeURIComponent(name)}`;

async function ask(path, options) {
  let reply;
  try {
    reply = await fetch(path, { credentials: "same-origin", ...options });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Refused(NOT_THERE, 0);
  }
  if (reply.ok) return reply;
  const told = await reply.json().catch(() => ({}));
  throw new Refused(told.error ?? `${path}: the server answers ${reply.status}`, reply.status);
}

export const get = async (path, signal) => (await ask(path, { signal })).json();
export const text = async (path, signal) => (await ask(path, { signal })).text();

let secret = null;

// The token of a server that serves other computers, from the page's address or typed in.
export function keepSecret(given) {
  secret = given;
}

// Whether the server lets this page make a bench safe: "ready", "token" (once it has been told one), or "refused".
export async function mayMakeSafe() {
  const { button } = await get("api/button");
  return button === "token" && secret !== null ? "ready" : button;
}

// The server's own token is asked for anew each time, because a server that was started again has another.
export async function makeSafe(address) {
  const { token } = await get("api/button");
  const headers = { "Content-Type": "application/json", "X-Labonn-Token": token ?? secret ?? "" };
  return (await ask("api/safe", { method: "POST", headers, body: JSON.stringify({ address }) })).json();
}
