// A flame graph: each function is below its caller, as wide as its share. Tab
// reaches one frame, the arrow keys the others.

const box = document.getElementById("flame-graph");
const detail = document.getElementById("flame-detail");
const find = document.getElementById("flame-find");
const found = document.getElementById("flame-found");
const rowHeight = 20;
const maxFrames = 4000; // drawn at once

let root = null; // the whole
let top = null; // the node drawn over the full width
let unit = box.dataset.unit;
let buttons = new Map(); // frames by node
let current = null; // the node that has, or gets, the focus

function amount(v) {
  if (unit === "nanoseconds") {
    if (v < 1e6) return (v / 1e3).toFixed(0) + " µs";
    if (v < 1e9) return (v / 1e6).toFixed(1) + " ms";
    return (v / 1e9).toFixed(2) + " s";
  }
  if (unit === "bytes") {
    for (const [size, name] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
      if (v >= size) return (v / size).toFixed(1) + " " + name;
    }
    return v + " B";
  }
  return v.toLocaleString("en") + (unit ? " " + unit : "");
}

function share(v) { return (100 * v / Math.max(root.value, 1)).toFixed(1) + " %"; }

function says(node) {
  return node.name + ": " + amount(node.value) + ", " + share(node.value) + (node.self ? ", self " + amount(node.self) : "");
}

// hue is the same for the functions of one package.
function hue(name) {
  const path = name.slice(0, name.lastIndexOf("."));
  let sum = 0;
  for (const c of path) sum = (sum * 31 + c.charCodeAt(0)) >>> 0;
  return 15 + sum % 45;
}

function link(node, parent, depth) {
  node.parent = parent;
  node.depth = depth;
  node.children ||= [];
  for (const child of node.children) link(child, node, depth + 1);
}

function frame(node, left, width, above) {
  const button = document.createElement("div");
  button.className = "frame" + (above ? " above" : "");
  button.setAttribute("role", "treeitem");
  button.setAttribute("aria-level", String(node.depth + 1));
  button.setAttribute("aria-label", says(node));
  button.tabIndex = -1;
  button.textContent = node.name;
  button.title = says(node);
  button.style.left = 100 * left + "%";
  button.style.width = 100 * width + "%";
  button.style.top = node.depth * rowHeight + "px";
  button.style.setProperty("--hue", hue(node.name));
  button.addEventListener("click", () => zoom(node));
  button.addEventListener("focus", () => point(node));
  button.addEventListener("mouseenter", () => { detail.textContent = says(node); });
  buttons.set(node, button);
  return button;
}

// draw draws top over the full width, its callers above, and below it what is wide
// enough to see.
function draw() {
  buttons = new Map();
  const fresh = document.createDocumentFragment();
  for (let node = top.parent; node; node = node.parent) fresh.prepend(frame(node, 0, 1, true));
  const least = 0.5 / Math.max(box.clientWidth, 300);
  let deepest = top.depth;
  const queue = [[top, 0]];
  for (let i = 0; i < queue.length && i < maxFrames; i++) {
    const [node, left] = queue[i];
    fresh.append(frame(node, left, node.value / Math.max(top.value, 1), false));
    deepest = Math.max(deepest, node.depth);
    let at = left;
    for (const child of node.children) {
      const width = child.value / Math.max(top.value, 1);
      if (width >= least) queue.push([child, at]);
      at += width;
    }
  }
  box.replaceChildren(fresh);
  box.style.height = (deepest + 1) * rowHeight + "px";
  if (!buttons.has(current)) current = top;
  mark();
  search();
}

// point makes a node the current one.
function point(node) {
  current = node;
  detail.textContent = says(node);
  mark();
}

function choose(node) {
  point(node);
  buttons.get(node).focus();
}

// mark makes the current frame the one that Tab reaches.
function mark() {
  for (const [node, button] of buttons) button.tabIndex = node === current ? 0 : -1;
}

function zoom(node) {
  top = node;
  current = node;
  draw();
  choose(node);
}

function move(key) {
  const shown = (node) => node && buttons.has(node) ? node : null;
  const siblings = current.parent ? current.parent.children.filter((n) => buttons.has(n)) : [current];
  const at = siblings.indexOf(current);
  switch (key) {
    case "ArrowUp": return shown(current.parent);
    case "ArrowDown": return current.children.find((n) => buttons.has(n));
    case "ArrowLeft": return siblings[at - 1];
    case "ArrowRight": return siblings[at + 1];
    case "Home": return root;
  }
  return null;
}

box.addEventListener("keydown", (e) => {
  if (!current) return;
  if (e.key === "Enter" || e.key === " ") zoom(current);
  else if (e.key === "Escape") zoom(root);
  else if (["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home"].includes(e.key)) {
    const next = move(e.key);
    if (next && buttons.has(next)) choose(next);
  } else return;
  e.preventDefault();
});

// search marks the frames whose name contains the text, and shows their total
// share, counting each stack once.
function search() {
  const text = find.value.trim().toLowerCase();
  for (const [node, button] of buttons) button.classList.toggle("hit", text !== "" && node.name.toLowerCase().includes(text));
  if (text === "") {
    found.textContent = "";
    return;
  }
  let sum = 0;
  const stack = [root];
  while (stack.length > 0) {
    const node = stack.pop();
    if (node !== root && node.name.toLowerCase().includes(text)) sum += node.value;
    else stack.push(...node.children);
  }
  found.textContent = sum > 0 ? amount(sum) + ", " + share(sum) : "no match";
}

find.addEventListener("input", search);
document.getElementById("flame-reset").addEventListener("click", () => { if (root) zoom(root); });
let width = 0;
new ResizeObserver(() => {
  if (root && Math.abs(box.clientWidth - width) > 20) {
    width = box.clientWidth;
    draw();
  }
}).observe(box);

const response = await fetch(box.dataset.tree);
if (response.ok) {
  const data = await response.json();
  unit = data.unit;
  root = data.root;
  link(root, null, 0);
  top = root;
  current = root;
  width = box.clientWidth;
  document.getElementById("flame-tools").hidden = false;
  draw();
} else {
  detail.textContent = (await response.json()).error;
}
