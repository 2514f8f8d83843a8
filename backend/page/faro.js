// Reports errors, web vitals and visits of a page to faro.receiver of the collector, in the
// protocol of Grafana Faro, without its SDK:
//
//   <script src="/shop/faro.js" data-url="http://localhost:12347/collect" data-app="shop" data-version="1"></script>
//
// It reports nothing if data-url is empty. It is the first script of the page, so that it
// sees the errors of the others, which may report their own by window.faro.
"use strict";
(() => {
	const { url, app, version } = document.currentScript.dataset;
	const delay = 1000; // milliseconds until what is waiting is sent
	const most = 50; // items that wait; more are dropped
	const longest = 1000; // characters of a message
	const deepest = 20; // frames of a stack

	let waiting = [];
	let timer;

	const now = () => new Date().toISOString();
	const cut = (text) => String(text).slice(0, longest);
	const texts = (values) => Object.fromEntries(Object.entries(values).map(([key, value]) => [key, cut(value)]));

	function add(kind, item) {
		if (!url || waiting.length >= most) return;
		waiting.push([kind, { ...item, timestamp: now() }]);
		timer ??= setTimeout(send, delay);
	}

	function send() {
		clearTimeout(timer);
		timer = undefined;
		if (waiting.length === 0) return;
		const payload = { meta: meta(), logs: [], exceptions: [], measurements: [], events: [] };
		for (const [kind, item] of waiting) payload[kind].push(item);
		waiting = [];
		const body = JSON.stringify(payload);
		// With keepalive, the request outlives the page, but browsers limit its size.
		fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: body.length < 60000 })
			.catch(() => {}); // it must never disturb the page
	}

	// The same for all pages of a tab, until it is closed.
	function session() {
		try {
			let id = sessionStorage.getItem("faro-session");
			if (!id) {
				id = Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");
				sessionStorage.setItem("faro-session", id);
			}
			return id;
		} catch {
			return ""; // the browser stores nothing
		}
	}

	function browser() {
		const agent = navigator.userAgent;
		const names = { Edge: /Edg\/([\d.]+)/, Opera: /OPR\/([\d.]+)/, Firefox: /Firefox\/([\d.]+)/, Chrome: /Chrome\/([\d.]+)/, Safari: /Version\/([\d.]+).*Safari/ };
		for (const [name, pattern] of Object.entries(names)) {
			const found = agent.match(pattern);
			if (found) return [name, found[1]];
		}
		return ["other", ""];
	}

	function meta() {
		const [name, number] = browser();
		return {
			sdk: { name: "faro.js", version },
			app: { name: app, version },
			session: { id: session() },
			// Without the query, which may be secret.
			page: { id: location.pathname, url: location.origin + location.pathname },
			browser: {
				name, version: number, userAgent: navigator.userAgent, language: navigator.language, mobile: /Mobi/.test(navigator.userAgent),
				viewportWidth: String(innerWidth), viewportHeight: String(innerHeight),
			},
		};
	}

	// ------------------------------------------------------------------- errors

	// Lines of a stack: "at f (file:1:2)" or "at file:1:2" in Chromium, "f@file:1:2" in others.
	const line = /^\s*(?:at )?(?:(.*?)(?: \(|@))?(\S+?):(\d+):(\d+)\)?$/;

	function frames(stack) {
		return String(stack ?? "").split("\n").map((text) => text.match(line)).filter(Boolean).slice(0, deepest)
			.map(([, name, filename, lineno, colno]) => ({ function: name || "?", filename, lineno: Number(lineno), colno: Number(colno) }));
	}

	function error(e, context = {}) {
		const [type, value] = e instanceof Error ? [e.name, e.message] : ["Error", e];
		const found = { type: cut(type), value: cut(value), stacktrace: { frames: frames(e?.stack) }, context: texts(context) };
		// A loop that fails reports its error once.
		if (waiting.some(([kind, item]) => kind === "exceptions" && item.type === found.type && item.value === found.value)) return;
		add("exceptions", found);
	}

	addEventListener("error", (e) => {
		if (e.message) error(e.error ?? e.message);
	});
	addEventListener("unhandledrejection", (e) => error(e.reason));

	// --------------------------------------------------------------- web vitals

	const reported = new Set(); // a browser may show an entry twice
	function vital(name, value) {
		if (reported.has(name)) return;
		reported.add(name);
		add("measurements", { type: "web-vitals", values: { [name]: value } });
	}

	function observe(type, each, options = {}) {
		if (!PerformanceObserver.supportedEntryTypes?.includes(type)) return;
		new PerformanceObserver((list) => list.getEntries().forEach(each)).observe({ type, buffered: true, ...options });
	}

	// These grow until the page is hidden for the first time, which is when they are final.
	let lcp, inp, cls = 0;
	let shift = { value: 0, first: 0, last: 0 };

	observe("navigation", (e) => vital("ttfb", e.responseStart));
	observe("paint", (e) => {
		if (e.name === "first-contentful-paint") vital("fcp", e.startTime);
	});
	observe("largest-contentful-paint", (e) => { lcp = e.startTime; });
	observe("layout-shift", (e) => {
		if (e.hadRecentInput) return;
		const same = e.startTime - shift.last < 1000 && e.startTime - shift.first < 5000;
		shift = same ? { ...shift, value: shift.value + e.value, last: e.startTime } : { value: e.value, first: e.startTime, last: e.startTime };
		cls = Math.max(cls, shift.value);
	});
	// The slowest interaction.
	const interaction = (e) => {
		if (e.entryType === "first-input" || e.interactionId) inp = Math.max(inp ?? 0, e.duration);
	};
	observe("first-input", interaction);
	observe("event", interaction, { durationThreshold: 40 });

	let final = false;
	function finish() {
		if (!final) {
			final = true;
			if (lcp !== undefined) vital("lcp", lcp);
			if (inp !== undefined) vital("inp", inp);
			vital("cls", cls);
		}
		send();
	}
	document.addEventListener("visibilitychange", () => {
		if (document.visibilityState === "hidden") finish();
	});
	addEventListener("pagehide", finish);

	// ---------------------------------------------------------- what pages call

	const event = (name, attributes = {}) => add("events", { name: cut(name), domain: "browser", attributes: texts(attributes) });
	const log = (message, level = "info", context = {}) => add("logs", { message: cut(message), level, context: texts(context) });
	window.faro = { error, event, log };
	event("page_view", { referrer: document.referrer && new URL(document.referrer).origin });
})();
