// What all pages do with a script: choose the theme, and refresh themselves.
// Without it they work too.

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
  } catch { /* it lasts as long as the page, then */ }
  showTheme();
});
showTheme();

// On a narrow screen the navigation is moved to the entry of this page.
const here = document.querySelector('nav [aria-current="page"]');
if (here) {
  const nav = here.closest("nav");
  const [entry, all] = [here.getBoundingClientRect(), nav.getBoundingClientRect()];
  nav.scrollLeft += entry.left - all.left - (all.width - entry.width) / 2;
}

// Refresh: fetch the page again and put in what has changed.

let paused = false;
let busy = false;

// keeps tells whether an element is to be left as it is: a page's script has it
// in its hands, or the user is typing there.
function keeps(element) {
  return element.hasAttribute("data-keep") || element === document.activeElement && element.matches("input, select, textarea");
}

// selecting tells whether the user has selected text, which a change would undo.
function selecting(main) {
  const selection = getSelection();
  return !selection.isCollapsed && main.contains(selection.anchorNode);
}

// links are where the links of an element lead, in order.
function links(element) {
  return [...element.querySelectorAll("a[href]")].map((a) => a.getAttribute("href") + "\n").join("");
}

// moves tells whether a list that has the focus or the pointer would put other
// links in the place of those that the user is about to follow. More rows below
// the others move nothing.
function moves(old, fresh) {
  return old.matches("tbody, ul, ol") && old.matches(":hover, :focus-within") && !links(fresh).startsWith(links(old));
}

function sameShape(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.id === b.id;
}

// update makes old like fresh and leaves alone what is equal, so that focus,
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
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  for (let i = 0; i < Math.max(before.length, after.length); i++) {
    if (!after[i]) before[i].remove();
    else if (!before[i]) old.append(after[i]);
    else if (sameShape(before[i], after[i])) update(before[i], after[i]);
    else before[i].replaceWith(after[i]);
  }
}

const away = document.getElementById("away");
const patience = 15000; // ms that an answer may take
let answered = new Date(); // when the last good answer came

// freshMain fetches the page and gives its main element. It throws if there is
// no good answer.
async function freshMain() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(patience) });
  if (response.redirected) throw new Error("it leads to another page");
  if (!response.ok) throw new Error("status " + response.status);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("main");
  if (!fresh) throw new Error("another page answers");
  return fresh;
}

// tellAway says that what is shown is old. It says so once, so that a screen
// reader does not repeat it.
function tellAway(why) {
  if (away.firstChild) return;
  const banner = document.createElement("p");
  banner.className = "notice bad";
  const since = answered.toLocaleTimeString([], { hour12: false });
  banner.textContent = "No answer since " + since + (why ? " (" + why + ")" : "") + "; what you see is old.";
  away.append(banner);
}

// refresh fetches the page now. What the user has selected text in stays as it
// is, but whether there is an answer is told all the same.
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
    // The browser's own words for no connection and no time differ and help nobody.
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
