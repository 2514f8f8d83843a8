// The chart of a metric. It polls its points from the API.

const box = document.getElementById("chart");
const colors = ["--s1", "--s4", "--s3", "--s2", "--good", "--bad", "--warn", "--dim"];
let plot = null;
let last = null;

// color returns the current value of a style sheet property, light or dark.
function color(name) {
  const probe = document.createElement("span");
  probe.style.color = "var(" + name + ")";
  box.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

// names identifies series by the labels in which they differ.
function names(series) {
  const differ = new Set();
  for (const s of series) {
    for (const name of Object.keys(s.labels)) {
      if (name !== "__name__" && series.some((other) => other.labels[name] !== s.labels[name])) differ.add(name);
    }
  }
  return series.map((s) => [...differ].sort().filter((name) => name in s.labels).map((name) => name + "=" + s.labels[name]).join(" ") || "value");
}

function short(v) {
  if (v === null || v === undefined) return "–";
  const size = Math.abs(v);
  for (const [unit, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit) return +(v / unit).toPrecision(3) + name;
  }
  return String(+v.toPrecision(4));
}

// formatter makes uPlot show times with 24 hours, and dates with the year first.
function formatter(template) {
  return uPlot.fmtDate(template.replace("{h}{aa}", "{HH}:{mm}").replaceAll("{h}", "{HH}").replaceAll("{aa}", "")
    .replace("{M}/{D}/{YY}", "{YYYY}-{MM}-{DD}").replace("{M}/{D}", "{MM}-{DD}"));
}

// inZone turns a time into a date whose local parts are in the zone that the page shows.
function inZone(seconds) {
  const at = new Date(seconds * 1000);
  return document.documentElement.dataset.zone === "UTC" ? uPlot.tzDate(at, "Etc/UTC") : at;
}

function draw(data) {
  const tables = data.series.map((s) => [s.points.map((p) => p.t / 1000), s.points.map((p) => p.v)]);
  if (tables.length === 0) return;
  const labels = names(data.series);
  const ink = color("--dim");
  const grid = { stroke: color("--line"), width: 1 };
  const axis = { stroke: ink, grid, ticks: grid };
  const options = {
    width: box.clientWidth - 24, height: 320, fmtDate: formatter, tzDate: inZone,
    scales: { x: { time: true } },
    axes: [axis, { ...axis, size: 64, label: box.dataset.unit, labelSize: 20, values: (_, ticks) => ticks.map(short) }],
    series: [{}, ...labels.map((label, i) => ({
      label, stroke: color(colors[i % colors.length]), width: 1.5, spanGaps: true, dash: i < colors.length ? undefined : [6, 3],
      value: (_, v) => short(v), points: { show: tables[i][0].length < 3 },
    }))],
    cursor: { drag: { x: true, y: false } },
  };
  if (plot) plot.destroy();
  plot = new uPlot(options, uPlot.join(tables), box);
}

let text = "";
let busy = false;

async function load() {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const response = await fetch(box.dataset.points);
    if (!response.ok) return;
    const fresh = await response.text();
    if (fresh === text) return;
    text = fresh;
    last = JSON.parse(text);
    draw(last);
  } catch { /* try again next time */ } finally {
    busy = false;
  }
}

new ResizeObserver(() => {
  if (plot) plot.setSize({ width: box.clientWidth - 24, height: 320 });
}).observe(box);
for (const name of ["theme", "zone"]) document.addEventListener(name, () => { if (last) draw(last); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (last) draw(last); });
load();
setInterval(load, 10000);
