"use strict";
(() => {
	const status = document.getElementById("status");
	const say = (text) => { status.textContent = text; };

	// call returns the answer of the API. An error has the request's id, which is in
	// the log lines of the service as well.
	async function call(method, path, body) {
		const answer = await fetch(path, { method, body: body && JSON.stringify(body), headers: body && { "Content-Type": "application/json" } });
		if (!answer.ok) {
			const error = new Error(`${method} ${path}: status ${answer.status}`);
			error.request = answer.headers.get("X-Request-Id") ?? "";
			throw error;
		}
		return answer.json();
	}

	// A click whose request fails is reported as what it is: an error of the page.
	async function click(method, path, body) {
		say("…");
		try {
			await call(method, path, body);
			say("Done.");
			faro.event("click", { method, path });
		} catch (error) {
			say(error.message);
			faro.error(error, { request_id: error.request ?? "" });
		}
	}

	async function list() {
		const { items } = await call("GET", "/api/items");
		document.getElementById("items").replaceChildren(...items.map((item) => {
			const row = document.createElement("li");
			const order = document.createElement("button");
			order.textContent = "Order";
			order.onclick = () => click("POST", "/api/orders", { item_id: item.id, quantity: 1 });
			row.append(`${item.name}, ${item.price} `, order);
			return row;
		}));
		faro.log(`${items.length} items listed`);
	}

	document.getElementById("slow").onclick = () => click("GET", "/api/slow");
	document.getElementById("broken").onclick = () => click("GET", "/api/server-error");
	document.getElementById("exception").onclick = () => { say("An exception."); undefinedFunction(); };
	document.getElementById("rejection").onclick = () => { say("A promise without a handler."); Promise.reject(new RangeError("no such shelf")); };
	list();
})();
