package browsertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/walnutdb/walnut"
)

// contrast lists the texts of the page whose colour is too near to what is behind
// them: below 4.5 to 1, as WCAG 2 (AA) counts it. It knows backgrounds that are
// one opaque colour.
const contrast = `(() => {
	const parse = s => s.match(/[\d.]+/g).map(Number);
	const light = c => c.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = e => {
		for (; e; e = e.parentElement) {
			const c = parse(getComputedStyle(e).backgroundColor);
			if (c.length < 4 || c[3] > 0) return c;
		}
		return [255, 255, 255];
	};
	const bad = new Set();
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
		if (!e.checkVisibility() || e.tagName === "title" || e.tagName === "SCRIPT") continue;
		const style = getComputedStyle(e), text = parse(e.closest("svg") ? style.fill : style.color);
		const [a, b] = [light(text), light(behind(e))].sort((x, y) => y - x);
		if ((a + 0.05) / (b + 0.05) < 4.5) bad.add(e.tagName + " " + e.textContent.slice(0, 30) + " " + ((a + 0.05) / (b + 0.05)).toFixed(2));
	}
	return [...bad].join("; ");
})()`

// unnamed lists what a screen reader could not name, and headings out of order.
const unnamed = `(() => {
	const bad = [];
	for (const e of document.querySelectorAll("svg[role=img], section, [role=region]")) {
		const by = e.getAttribute("aria-labelledby"), n = by ? document.getElementById(by)?.textContent : e.getAttribute("aria-label");
		if (!n?.trim()) bad.push("no name: " + e.outerHTML.slice(0, 60));
	}
	for (const e of document.querySelectorAll("table")) if (!e.caption?.textContent) bad.push("no caption: " + e.outerHTML.slice(0, 60));
	for (const e of document.querySelectorAll("button")) if (!e.innerText && !e.hidden) bad.push("no name: " + e.outerHTML);
	if (document.querySelectorAll("h1").length !== 1) bad.push("not one h1");
	if (!document.querySelector("main") || !document.querySelector("header") || !document.documentElement.lang) bad.push("landmarks, language");
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	if (new Set(ids).size !== ids.length) bad.push("an id twice");
	return bad.join("; ");
})()`

// TestLook keeps screenshots of a database at work, light and dark, wide and
// narrow, and looks at what can be counted: contrast, names, and that nothing
// sticks out.
func TestLook(t *testing.T) {
	db, url := open(t, &walnut.Options{MaxLogSize: 32 << 20, ReaderGrace: time.Hour})
	for range 4 {
		mustCommit(t, db, 400)
	}
	b := start(t, url)
	stop := load(t, db)
	b.do(chromedp.Navigate(url))
	b.wait(`document.querySelectorAll("#log svg.log text").length > 2`)
	b.wait(`document.querySelector("#commits .line").getAttribute("d")?.split("L").length > 6`)

	b.look(t, "light")
	dark := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, dark); err != nil {
		t.Fatal(err)
	}
	b.look(t, "dark")
	defer read(t, db, strings.Repeat("a long label ", 20))()
	b.wait(in("#rest", "a long label"))
	b.do(chromedp.EmulateViewport(400, 800))
	b.look(t, "narrow")
	stop()
}

func (b *browser) look(t *testing.T, name string) {
	t.Helper()
	b.screenshot(name)
	if s := b.text(contrast); s != "" {
		t.Errorf("%s: too little contrast: %s", name, s)
	}
	if s := b.text(unnamed); s != "" {
		t.Errorf("%s: %s", name, s)
	}
	if s := b.text(`document.documentElement.scrollWidth > innerWidth ? "too wide" : ""`); s != "" {
		t.Errorf("%s: the page is wider than the window", name)
	}
}

// load is a database at work, until stop: writers, a reader that keeps the log,
// short ones, and a writer that has the place while others wait.
func load(t *testing.T, db *walnut.DB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	n := 0
	write := func(label string) {
		defer func() { done <- struct{}{} }()
		for i := 0; ctx.Err() == nil; i++ {
			_ = commit(walnut.WithLabel(ctx, label), db, 1+i%3) // it is held in the end
			pause(ctx, 15*time.Millisecond)
		}
	}
	slow := read(t, db, "nightly report")
	for range 5 {
		mustCommit(t, db, 300)
	}
	other := read(t, db, `export <orders> & "customers"`)
	for _, label := range []string{"POST /orders", "POST /orders", "import", "session clean-up"} {
		n++
		go write(label)
	}
	n++
	go func() {
		defer func() { done <- struct{}{} }()
		for ctx.Err() == nil {
			_ = db.View(walnut.WithLabel(ctx, "GET /orders"), func(*walnut.Tx) error { pause(ctx, 400*time.Millisecond); return nil })
		}
	}()
	return func() {
		cancel()
		slow()
		other()
		for range n {
			<-done
		}
	}
}

// pause is a moment of work that is no commit.
func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}
