// The events of the Live page, as they come. Nothing is kept but what is shown.

const section = document.getElementById("stream");
const rows = document.getElementById("live-rows");
const state = document.getElementById("live-state");
const rate = document.getElementById("live-rate");
const pause = document.getElementById("live-pause");
const maxRows = 500;

let source = null;
let waiting = []; // events that are not shown yet
let seconds = []; // how many came in each of the last seconds
let count = 0;
let skipped = 0;
let skippedBefore = 0; // by streams that have ended

function element(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function duration(ns) {
  if (ns < 1e6) return (ns / 1e3).toFixed(0) + " µs";
  if (ns < 1e9) return (ns / 1e6).toFixed(ns < 1e7 ? 1 : 0) + " ms";
  return (ns / 1e9).toFixed(2) + " s";
}

function size(bytes) {
  return bytes < 1024 ? bytes + " B" : (bytes / 1024).toFixed(1) + " KiB";
}

function time(text) {
  const at = new Date(text);
  if (isNaN(at)) return element("span", "–");
  const t = element("time", at.toLocaleTimeString([], { hour12: false }) + "." + String(at.getMilliseconds()).padStart(3, "0"));
  t.dateTime = text;
  t.title = text;
  return t;
}

// what is an event's own text, and what its kind of signal has besides.
function what(event) {
  const cell = element("td");
  cell.append(element("code", event.text));
  if (event.signal === "traces") cell.append(" ", element("span", duration(event.durationNs || 0), "dim"));
  if (event.signal === "profiles") cell.append(" ", element("span", size(event.size || 0), "dim"));
  if (event.signal === "logs" && event.size > 4096) cell.append(" ", element("span", "of " + size(event.size), "dim"));
  if (event.traceId && section.dataset.traces) {
    const link = element("a", "trace");
    link.href = section.dataset.traces + event.traceId;
    cell.append(" ", link);
  }
  return cell;
}

function row(event) {
  const tr = element("tr");
  const head = element("th");
  head.scope = "row";
  head.append(time(event.time));
  const signal = element("td", undefined, "signal " + event.signal);
  signal.append(element("span", event.signal));
  signal.title = event.from + " → " + event.to;
  const labels = element("td");
  for (const name of Object.keys(event.labels || {}).sort()) {
    labels.append(element("span", name + "=" + JSON.stringify(event.labels[name]), "label"), " ");
  }
  tr.append(head, signal, what(event), labels);
  return tr;
}

function show() {
  if (waiting.length === 0) return;
  const fresh = document.createDocumentFragment();
  for (const event of waiting.slice(-maxRows).reverse()) fresh.append(row(event));
  waiting = [];
  rows.prepend(fresh);
  while (rows.rows.length > maxRows) rows.deleteRow(-1);
}

function tell() {
  seconds.push(count);
  count = 0;
  seconds = seconds.slice(-5);
  const mean = seconds.reduce((a, b) => a + b, 0) / seconds.length;
  const all = skippedBefore + skipped;
  rate.textContent = mean.toFixed(mean < 10 ? 1 : 0) + " a second shown" + (all > 0 ? ", " + all.toLocaleString("en") + " skipped" : "");
}

// refusal is what an answer without a stream says. One of a proxy, or of the
// check of passwords, is no JSON.
async function refusal(response) {
  if ((response.headers.get("Content-Type") || "").startsWith("application/json")) {
    const { error } = await response.json();
    if (error) return error;
  }
  if (response.status === 401) return "a password is asked for (status 401): load the page again";
  return "refused (status " + response.status + ")";
}

// why asks for the reason why there is no stream, which EventSource does not
// give.
async function why() {
  const stop = new AbortController();
  try {
    const response = await fetch(section.dataset.events, { signal: stop.signal });
    if (!response.ok) state.textContent = await refusal(response);
  } catch {
    state.textContent = "the collector cannot be reached";
  } finally {
    stop.abort();
  }
}

function open() {
  source = new EventSource(section.dataset.events);
  source.addEventListener("open", () => { state.textContent = "watching"; });
  source.addEventListener("item", (e) => {
    count++;
    waiting.push(JSON.parse(e.data));
    if (waiting.length > maxRows) waiting.shift();
  });
  source.addEventListener("state", (e) => { skipped = JSON.parse(e.data).skipped; });
  source.addEventListener("error", () => {
    skippedBefore += skipped;
    skipped = 0;
    state.textContent = "not connected";
    if (source && source.readyState === EventSource.CLOSED) {
      why();
      source = null;
      setTimeout(goOn, 10000);
    }
  });
}

function close(because) {
  skippedBefore += skipped;
  skipped = 0;
  if (source) source.close();
  source = null;
  state.textContent = because;
}

// goOn opens the stream again, unless someone has paused it or nobody sees it.
function goOn() {
  if (!source && !document.hidden && pause.getAttribute("aria-pressed") !== "true") open();
}

// A page that nobody sees gives its place among those who watch to others.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) goOn();
  else if (source) close("not watching while the page is hidden");
});

pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  if (paused) close("paused");
  else goOn();
});

document.getElementById("live-clear").addEventListener("click", () => {
  waiting = [];
  skippedBefore = -skipped;
  rows.replaceChildren();
});

setInterval(show, 200);
setInterval(tell, 1000);
goOn();
