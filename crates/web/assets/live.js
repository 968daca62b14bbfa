// Keeps the page's main part as the server sees it: a stream says that something changed, the part is asked for anew.
import { morph } from "./morph.js";

const GAP_MS = 300;
const RETRY_MS = 3000;
const listeners = new Set();
let source = null;
let timer = 0;
let busy = false;
let again = false;
let last = 0;
let after = () => {};

/** Hears what the stream says about the trace: `{lines, complete}`. */
export function onTrace(listener) {
  listeners.add(listener);
}

/** Starts; `done` is called after each refresh. */
export function startLive(done) {
  after = done;
  const main = document.getElementById("main");
  if (!main?.dataset.events) return;
  connect(main.dataset.events);
  // A page that nobody sees holds no connection: a browser has few for one site.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) disconnect();
    else connect(main.dataset.events);
  });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => {
    if (event.persisted) connect(main.dataset.events);
  });
  const every = Number(main.dataset.every);
  if (every) setInterval(() => document.hidden || refresh(), every);
}

function connect(topic) {
  if (source) return;
  source = new EventSource(`/events?${topic}`);
  source.onopen = () => {
    state("on");
    // What changed between the page and the stream, or while the stream was lost.
    refresh();
  };
  source.onerror = () => {
    state("off");
    if (source?.readyState === EventSource.CLOSED) {
      // The server refused: the session is over, or it is restarting.
      disconnect();
      setTimeout(() => document.hidden || connect(topic), RETRY_MS);
      refresh();
    }
  };
  source.addEventListener("change", refresh);
  source.addEventListener("trace", (event) => {
    const told = JSON.parse(event.data);
    for (const listener of listeners) listener(told);
  });
}

function disconnect() {
  source?.close();
  source = null;
}

function state(word) {
  const sign = document.getElementById("live");
  if (!sign) return;
  sign.dataset.state = word;
  sign.textContent = sign.dataset[word];
}

/** Asks for the main part anew, soon, and never twice at once. */
export function refresh() {
  if (busy) {
    again = true;
    return;
  }
  clearTimeout(timer);
  timer = setTimeout(load, Math.max(0, last + GAP_MS - performance.now()));
}

async function load() {
  busy = true;
  try {
    const address = new URL(location.href);
    address.searchParams.set("fragment", "1");
    const answer = await fetch(address, { headers: { accept: "text/html" }, redirect: "manual" });
    if (answer.status === 401) location.reload();
    else if (answer.ok) put(await answer.text());
  } catch {
    state("off");
  }
  last = performance.now();
  busy = false;
  if (again) {
    again = false;
    refresh();
  }
}

function put(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("main");
  const main = document.getElementById("main");
  if (!fresh || !main) return;
  const topic = main.dataset.events;
  morph(main, fresh);
  if (main.dataset.events !== topic) {
    disconnect();
    connect(main.dataset.events);
  }
  after();
}
