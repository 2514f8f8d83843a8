// What every page does with JavaScript: switch the theme and the time zone, and
// refresh itself.
// Pages work without it too.

export const prefix = document.querySelector('meta[name="prefix"]').content;

const root = document.documentElement;
const themeButton = document.getElementById("theme");
const pauseButton = document.getElementById("pause");
const themes = ["auto", "light", "dark"];

function showTheme() {
  const theme = root.dataset.theme || "auto";
  themeButton.textContent = "Theme: " + theme;
  themeButton.dispatchEvent(new CustomEvent("theme", { bubbles: true, detail: theme }));
}

themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  const next = themes[(themes.indexOf(root.dataset.theme || "auto") + 1) % themes.length];
  if (next === "auto") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    if (next === "auto") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
  } catch { /* then it lasts only as long as the page */ }
  showTheme();
});
showTheme();

// Times: all pages show them in one time zone, the browser's or UTC.

const zoneButton = document.getElementById("zone");
const browserZone = new Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
let format;

function storedZone() {
  try {
    return localStorage.getItem("zone") === "UTC" ? "UTC" : browserZone;
  } catch {
    return browserZone;
  }
}

// setZone shows all times of the page in a time zone.
function setZone(zone) {
  root.dataset.zone = zone;
  format = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit",
    hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
  });
  zoneButton.textContent = "Time: " + zone;
  zoneButton.title = zone === browserZone ? "Show times in UTC" : "Show times in " + browserZone;
  showTimes(document);
  zoneButton.dispatchEvent(new CustomEvent("zone", { bubbles: true, detail: zone }));
}

// inZone is a time in the zone that is shown.
function inZone(at) {
  const p = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
  return { date: p.year + "-" + p.month + "-" + p.day, clock: p.hour + ":" + p.minute + ":" + p.second + "." + p.fractionalSecond };
}

// showTimes shows the times in an element: those marked as a time of day or as exact
// by their text, and all on hover, with the name of the zone.
function showTimes(element) {
  for (const time of element.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    const { date, clock } = inZone(at);
    const title = date + " " + clock + " " + root.dataset.zone;
    if (time.title !== title) time.title = title;
    if (time.hasAttribute("data-clock") && time.textContent !== clock) time.textContent = clock;
    if (time.hasAttribute("data-exact") && time.textContent !== title) time.textContent = title;
  }
}

zoneButton.hidden = false;
zoneButton.disabled = browserZone === "UTC";
zoneButton.addEventListener("click", () => {
  const next = root.dataset.zone === "UTC" ? browserZone : "UTC";
  try {
    if (next === "UTC") localStorage.setItem("zone", next);
    else localStorage.removeItem("zone");
  } catch { /* then it lasts only as long as the page */ }
  setZone(next);
});
setZone(storedZone());

// What a page's own script adds has times too.
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) showTimes(node);
  }
}).observe(document.getElementById("main"), { childList: true, subtree: true });

// On a narrow screen, scroll the navigation to the entry of this page.
const here = document.querySelector('nav [aria-current="page"]');
if (here) {
  const nav = here.closest("nav");
  const [entry, all] = [here.getBoundingClientRect(), nav.getBoundingClientRect()];
  nav.scrollLeft += entry.left - all.left - (all.width - entry.width) / 2;
}

// Refresh: fetch the page again and update what has changed.

let paused = false;
let busy = false;

// keeps reports whether an element must not be updated: a page's script owns it,
// or the user is typing there.
function keeps(element) {
  return element.hasAttribute("data-keep") || element === document.activeElement && element.matches("input, select, textarea");
}

// selecting reports whether the user has selected text, which an update would undo.
function selecting(main) {
  const selection = getSelection();
  return !selection.isCollapsed && main.contains(selection.anchorNode);
}

// links are where the links of an element lead, in order.
function links(element) {
  return [...element.querySelectorAll("a[href]")].map((a) => a.getAttribute("href") + "\n").join("");
}

// moves reports whether an update would move links under the pointer or the focus,
// which the user may be about to follow. Rows added at the end move nothing.
function moves(old, fresh) {
  return old.matches("tbody, ul, ol") && old.matches(":hover, :focus-within") && !links(fresh).startsWith(links(old));
}

function sameShape(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.id === b.id;
}

// updateChildren changes the children of old into those of fresh. One that has an id stays
// itself, whatever comes or goes before it: what is open must not close, nor another open.
function updateChildren(old, fresh) {
  const after = [...fresh.childNodes];
  const names = new Map(after.filter((node) => node.id).map((node) => [node.id, node.nodeName]));
  const stays = (node) => Boolean(node.id) && names.get(node.id) === node.nodeName;
  const kept = new Map([...old.children].filter(stays).map((node) => [node.id, node]));
  let at = old.firstChild;
  const pass = () => {
    const node = at;
    at = at.nextSibling;
    return node;
  };
  for (const node of after) {
    const same = kept.get(node.id);
    if (same) {
      while (at && at !== same && !stays(at)) pass().remove();
      if (at === same) pass();
      else old.insertBefore(same, at);
      update(same, node);
    } else if (at && sameShape(at, node)) update(pass(), node);
    else if (at && !stays(at)) pass().replaceWith(node);
    else old.insertBefore(node, at);
  }
  while (at) pass().remove();
}

// update changes old into fresh but does not touch what is equal, so that focus,
// scroll positions and open details stay.
function update(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  if (keeps(old) || moves(old, fresh)) return;
  for (const { name, value } of fresh.attributes) if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  updateChildren(old, fresh);
}

const away = document.getElementById("away");
const patience = 15000; // ms to wait for a response
let answered = new Date(); // when the last good response came

// freshMain fetches the page and returns its main element. It throws if there is no
// good response.
async function freshMain() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(patience) });
  if (response.redirected) throw new Error("redirected to another page");
  if (!response.ok) throw new Error("status " + response.status);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("main");
  if (!fresh) throw new Error("unexpected page");
  showTimes(fresh);
  return fresh;
}

// tellAway says that the page is out of date. It says so once, so that a screen
// reader does not repeat it.
function tellAway(why) {
  if (away.firstChild) return;
  const banner = document.createElement("p");
  banner.className = "notice bad";
  const since = inZone(answered).clock.slice(0, 8);
  banner.textContent = "No answer since " + since + (why ? " (" + why + ")" : "") + "; this page is out of date.";
  away.append(banner);
}

// refresh fetches the page now. While the user has text selected, the page is not
// updated, but a missing response is still shown.
export async function refresh() {
  if (busy) return;
  busy = true;
  try {
    const main = document.getElementById("main");
    const fresh = await freshMain();
    if (!selecting(main)) update(main, document.importNode(fresh, true));
    answered = new Date();
    away.replaceChildren();
  } catch (problem) {
    // Browsers word connection errors and timeouts differently, and not helpfully.
    tellAway(problem.constructor === Error ? problem.message : "");
  } finally {
    busy = false;
  }
}

const seconds = Number(document.getElementById("main").dataset.refresh);
if (seconds > 0) {
  pauseButton.hidden = false;
  pauseButton.addEventListener("click", () => {
    paused = !paused;
    pauseButton.setAttribute("aria-pressed", String(paused));
  });
  const refreshIfSeen = () => {
    if (!paused && !document.hidden) refresh();
  };
  setInterval(refreshIfSeen, seconds * 1000);
  document.addEventListener("visibilitychange", refreshIfSeen);
}
