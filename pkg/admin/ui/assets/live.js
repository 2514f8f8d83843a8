// The events of the Live page, as they arrive. Only what is shown is kept.

const section = document.getElementById("stream");
const rows = document.getElementById("live-rows");
const state = document.getElementById("live-state");
const rate = document.getElementById("live-rate");
const pause = document.getElementById("live-pause");
const maxRows = 500;
const staged = new Set((section.dataset.staged || "").split(" ").filter(Boolean));

let source = null;
let waiting = []; // events not shown yet
let seconds = []; // events in each of the last seconds
let count = 0;
let skipped = 0;
let skippedBefore = 0; // by earlier streams

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
  const t = element("time"); // app.js shows it in the time zone of the page
  t.dateTime = text;
  t.dataset.clock = "";
  return t;
}

// what is an event's text, with details that depend on the signal.
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
  if (event.signal === "logs" && staged.has(event.to)) cell.append(" ", stages(event));
  return cell;
}

// stages leads to what the stages of the receiving component do to the line. It is a
// form, as a line is too long for an address.
function stages(event) {
  const form = element("form", undefined, "inline");
  form.method = "post";
  form.action = section.dataset.stages + encodeURIComponent(event.to) + "#entry-1";
  const fields = { lines: event.text, labels: JSON.stringify(event.labels || {}), time: event.time, whole: "1" };
  for (const [name, value] of Object.entries(fields)) {
    const input = element("input");
    input.type = "hidden";
    input.name = name;
    input.value = value;
    form.append(input);
  }
  const button = element("button", "stages", "link");
  button.title = "What the stages of " + event.to + " do to this line";
  form.append(button);
  return form;
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
  rate.textContent = mean.toFixed(mean < 10 ? 1 : 0) + " per second shown" + (all > 0 ? ", " + all.toLocaleString("en") + " skipped" : "");
}

// rejection is the reason in a response that is not a stream. A proxy's, or the one
// that asks for a password, is not JSON.
async function rejection(response) {
  if ((response.headers.get("Content-Type") || "").startsWith("application/json")) {
    const { error } = await response.json();
    if (error) return error;
  }
  if (response.status === 401) return "password required (status 401): reload the page";
  return "rejected (status " + response.status + ")";
}

// why fetches the reason why there is no stream: EventSource does not give it.
async function why() {
  const stop = new AbortController();
  try {
    const response = await fetch(section.dataset.events, { signal: stop.signal });
    if (!response.ok) state.textContent = await rejection(response);
  } catch {
    state.textContent = "collector unreachable";
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
    state.textContent = "disconnected";
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

// goOn opens the stream again, unless it is paused or the page is hidden.
function goOn() {
  if (!source && !document.hidden && pause.getAttribute("aria-pressed") !== "true") open();
}

// A hidden page frees its place for other viewers.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) goOn();
  else if (source) close("stopped while the page is hidden");
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
