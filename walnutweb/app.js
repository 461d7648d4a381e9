// Asks for the state once a second, puts it in the place of what is shown, and
// keeps what the charts need. What can have the focus, and what is read aloud, is
// never replaced.
"use strict";
(() => {
	const get = id => document.getElementById(id);
	const keep = 120;
	const points = []; // {time, commits, syncs, frames}
	let paused = false, timer;

	function chart(id, values) {
		const svg = get(id), top = Math.max(1, ...values) * 1.1, wide = Math.min(keep, Math.max(values.length, 30)) - 1;
		const at = values.map((v, i) => (300 - (values.length - 1 - i) * 300 / wide).toFixed(1) + " " + (60 - v / top * 60).toFixed(1));
		const line = at.length ? "M" + at.join("L") : "";
		svg.querySelector(".line").setAttribute("d", line);
		svg.querySelector(".area").setAttribute("d", line && line + "L300 60L" + at[0].split(" ")[0] + " 60Z");
	}

	const round = v => v < 10 ? v.toFixed(1) : Math.round(v).toLocaleString("en").replaceAll(",", "\u202f");

	function look() {
		const d = get("data").dataset;
		const p = {time: +d.time, commits: +d.commits, syncs: +d.syncs, frames: +d.frames};
		const last = points.at(-1);
		if (!last || p.time > last.time) points.push(p);
		if (points.length > keep + 1) points.shift();
		const rate = what => points.slice(1).map((q, i) => (q[what] - points[i][what]) * 1000 / (q.time - points[i].time));
		const commits = rate("commits"), syncs = rate("syncs");
		chart("commits", commits);
		chart("syncs", syncs);
		chart("logsize", points.slice(1).map(q => q.frames));
		if (commits.length) {
			get("commits-now").textContent = round(commits.at(-1));
			get("syncs-now").textContent = round(syncs.at(-1));
			get("commits-peak").textContent = "most " + round(Math.max(...commits));
			get("syncs-peak").textContent = "most " + round(Math.max(...syncs));
		}
		get("log-now").textContent = d.bytes;
		get("time").textContent = d.clock;
		health(d.health, d.level);
	}

	// What is read aloud changes when more than figures do: they change each second.
	let said = "";
	function health(text, level) {
		const h = get("health"), gist = level + text.replace(/[\d.,]+\S*/g, "");
		h.textContent = text;
		h.className = "health " + level;
		if (said && gist !== said) get("said").textContent = text;
		said = gist;
	}

	// The ages of readers change all the time: replacing a table moves neither its
	// scrolling nor the focus.
	function replace(html) {
		const news = document.createElement("template");
		news.innerHTML = html;
		const regions = () => [...document.querySelectorAll("#log .scroll, #rest .scroll")];
		const old = regions(), scrolled = old.map(e => [e.scrollLeft, e.scrollTop]);
		const names = old.map(e => e.getAttribute("aria-labelledby")), focus = names.at(old.indexOf(document.activeElement));
		const focused = old.includes(document.activeElement);
		get("data").replaceWith(news.content.getElementById("data"));
		for (const part of news.content.querySelectorAll("[data-part]")) get(part.dataset.part).replaceChildren(...part.childNodes);
		for (const e of regions()) {
			const i = names.indexOf(e.getAttribute("aria-labelledby"));
			if (i >= 0) [e.scrollLeft, e.scrollTop] = scrolled[i];
			if (focused && names[i] === focus) e.focus({preventScroll: true});
		}
		look();
	}

	async function update() {
		clearTimeout(timer);
		try {
			const r = await fetch("live", {cache: "no-store"});
			if (!r.ok) throw new Error("the server says " + r.status);
			const html = await r.text();
			if (!paused) replace(html);
		} catch (e) {
			health("The page does not reach the program any more (" + e.message + "); what is shown is old.", "bad");
		}
		if (!paused) timer = setTimeout(update, 1000);
	}

	get("rates").hidden = false;
	const pause = get("pause");
	pause.hidden = false;
	pause.addEventListener("click", () => {
		paused = !paused;
		pause.setAttribute("aria-pressed", paused);
		pause.textContent = paused ? "Go on" : "Pause";
		if (!paused) update();
	});
	document.addEventListener("visibilitychange", () => {
		clearTimeout(timer);
		if (!document.hidden && !paused) update();
	});

	const form = document.querySelector(".actions form");
	if (form) form.addEventListener("submit", async e => {
		e.preventDefault();
		const out = get("outcome"), buttons = form.querySelectorAll("button");
		const mode = e.submitter.value;
		buttons.forEach(b => b.setAttribute("aria-disabled", "true"));
		out.textContent = "The " + mode + " checkpoint runs …";
		try {
			const r = await fetch("checkpoint", {method: "POST", body: new URLSearchParams({mode}), headers: {Accept: "application/json"}});
			out.textContent = r.ok ? (await r.json()).text : await r.text();
		} catch (err) {
			out.textContent = "The checkpoint could not be run: " + err.message;
		}
		buttons.forEach(b => b.removeAttribute("aria-disabled"));
		if (!paused) update();
	});

	look();
	timer = setTimeout(update, 1000);
})();
