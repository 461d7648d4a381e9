// Package browsertest looks at the page of walnutweb with a browser: headless
// Chromium, by chromedp. It is a module of its own, so that nobody who imports
// walnut gets chromedp with it.
//
// Its screenshots go to build/screenshots of the repository. Without Chromium the
// tests skip; but in CI they fail.
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/walnutweb"
)

// prefix is where the page is mounted; the handler does not see it.
const prefix = "/deep/below/walnut/"

// open opens a database in a temporary directory and serves its page.
func open(t *testing.T, opt *walnut.Options) (*walnut.DB, string) {
	t.Helper()
	db, err := walnut.Open(filepath.Join(t.TempDir(), "orders.db"), opt)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(prefix, http.StripPrefix(strings.TrimSuffix(prefix, "/"), walnutweb.Handler(db, walnutweb.WithActions())))
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.CloseClientConnections() // of a browser that keeps them
		s.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, s.URL + prefix
}

// commit changes pages 2 to 1+n of db in one transaction.
func commit(ctx context.Context, db *walnut.DB, n int) error {
	return db.Update(ctx, func(tx *walnut.Tx) error {
		for i := range n {
			p, err := tx.Write(walnut.PageNo(2 + i))
			if err != nil {
				return err
			}
			p[100]++
		}
		return nil
	})
}

func mustCommit(t *testing.T, db *walnut.DB, n int) {
	t.Helper()
	if err := commit(t.Context(), db, n); err != nil {
		t.Fatal(err)
	}
}

// read begins a read transaction of that label; end ends it, and may be called
// twice.
func read(t *testing.T, db *walnut.DB, label string) (end func()) {
	t.Helper()
	tx, err := db.Begin(walnut.WithLabel(context.Background(), label), &walnut.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() { _ = tx.Rollback() })
	t.Cleanup(end)
	return end
}

// browser is a tab that complains of whatever the page does wrong.
type browser struct {
	t   *testing.T
	ctx context.Context
	// expected: the server was closed, or refuses what the test asks for, and the
	// browser may say so.
	expected atomic.Bool
}

// patience is how long a test waits for a browser that is stuck.
const patience = 90 * time.Second

func start(t *testing.T, url string) *browser {
	t.Helper()
	name := ""
	for _, n := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(n); err == nil {
			name = p
			break
		}
	}
	if name == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("there is no chromium")
		}
		t.Skip("there is no chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(name), chromedp.NoSandbox,
		chromedp.WindowSize(1280, 900), chromedp.Flag("disable-dev-shm-usage", true))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(chromedp.Listen(ctx, func(e any) { b.judge(e, url) }))
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	must(err)
	_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	must(err)
	return b
}

// judge sees what happens in the tab.
func (b *browser) judge(e any, url string) {
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		b.t.Errorf("the page throws: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded: // what the policy forbids, too
		if e.Entry.Level == log.EntryLevelError && !b.expected.Load() {
			b.t.Errorf("the browser says: %s (%s)", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, url) && !strings.HasPrefix(e.Request.URL, "data:") {
			b.t.Errorf("the page asks for %s", e.Request.URL)
		}
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// wait waits until an expression of the page becomes true, looking whenever the
// page changes.
func (b *browser) wait(what string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`new Promise(done => {
		const look = () => { if (`+what+`) { o.disconnect(); done(true); } };
		const o = new MutationObserver(look);
		o.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
		look();
	})`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// text is what an expression says.
func (b *browser) text(what string) string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](what))
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return s
}

// screenshot keeps a picture of the whole page.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	dir := filepath.Join("..", "..", "build", "screenshots")
	if err := errors.Join(err, os.MkdirAll(dir, 0o777), os.WriteFile(filepath.Join(dir, name+".png"), png, 0o666)); err != nil {
		b.t.Fatal(err)
	}
}

// in is an expression: the element shows the text.
func in(selector, text string) string {
	return fmt.Sprintf("document.querySelector(%q)?.textContent.includes(%q)", selector, text)
}

// nasty is a label that is to be shown and not to be run.
const nasty = `<img src=x onerror=alert(1)>"'&`

// TestReaderAppearsAndGoes: the page shows, without being loaded again, who reads.
func TestReaderAppearsAndGoes(t *testing.T) {
	db, url := open(t, &walnut.Options{AutoCheckpoint: -1})
	b := start(t, url)
	b.do(chromedp.Navigate(url))
	b.wait(in("#rest", "Nobody reads"))
	b.do(chromedp.Evaluate[chromedp.Void]("window.same = true"))

	mustCommit(t, db, 1)
	end := read(t, db, nasty)
	mustCommit(t, db, 5)
	b.wait(in("#rest table", nasty))
	b.wait(in("#health", nasty))
	b.wait(in("#said", nasty)) // read aloud
	b.wait(`[...document.querySelectorAll("svg.log text")].some(e => e.textContent.includes("onerror"))`)
	end()
	b.wait(in("#rest", "Nobody reads"))
	b.wait("window.same === true")

	// Paused, it stays as it is, until it goes on.
	b.do(chromedp.Click("#pause"))
	b.wait(`document.querySelector("#pause").getAttribute("aria-pressed") === "true"`)
	end = read(t, db, "the second")
	defer end()
	b.do(chromedp.Click("#pause"))
	b.wait(in("#rest", "the second"))
}

// TestCheckpointFromThePage: by keyboard alone. Every button is reached by Tab, in
// the order in which it is shown, has a name, and shows that it has the focus.
func TestCheckpointFromThePage(t *testing.T) {
	db, url := open(t, &walnut.Options{AutoCheckpoint: -1})
	mustCommit(t, db, 7)
	b := start(t, url)
	b.do(chromedp.Navigate(url), chromedp.WaitVisible("#pause"))
	var order []string
	for range 7 {
		b.do(chromedp.KeyEvent("\t"))
		order = append(order, b.text(`document.activeElement.ariaLabel || document.activeElement.innerText`))
		if s := b.text(`getComputedStyle(document.activeElement).outlineStyle`); s != "solid" {
			t.Errorf("%s has the focus and does not show it", order[len(order)-1])
		}
	}
	if got := strings.Join(order, ", "); got != "Skip to the log, Pause, Picture of the log, Passive, Full, Restart, Truncate" {
		t.Errorf("the focus goes: %s", got)
	}
	b.do(chromedp.KeyEvent("\r"))
	b.wait(in("#outcome", "truncate checkpoint is done"))
	b.wait(in("#rest", "truncate"))
	if b.text(`document.activeElement.innerText`) != "Truncate" {
		t.Error("the button has lost the focus")
	}
	s := db.Stats()
	if l := db.Checkpoints(); len(l) != 1 || l[0].Mode != walnut.CheckpointTruncate || l[0].Pages == 0 || s.LogFrames != 0 {
		t.Errorf("%+v, %d frames", l, s.LogFrames)
	}

	// One that cannot finish says whom it waits for.
	mustCommit(t, db, 1)
	defer read(t, db, "nightly report")()
	mustCommit(t, db, 1)
	b.do(chromedp.Click(`button[value="passive"]`))
	b.wait(in("#outcome", "the rest is kept by 1 reader"))
}

// TestWithoutScript: the state is there, and a button leads back to it.
func TestWithoutScript(t *testing.T) {
	db, url := open(t, &walnut.Options{AutoCheckpoint: -1})
	mustCommit(t, db, 3)
	defer read(t, db, "weekly report")()
	mustCommit(t, db, 3)
	b := start(t, url)
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(url), chromedp.WaitVisible("#rest table"))
	if s := b.text(`document.body.innerText`); !strings.Contains(s, "weekly report") || strings.Contains(s, "Pause") {
		t.Errorf("the page shows:\n%s", s)
	}
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(`button[value="passive"]`)); err != nil {
		t.Fatal(err)
	}
	if s := b.text("location.href"); !strings.HasPrefix(s, url) || !strings.HasSuffix(s, "#checkpoints") {
		t.Errorf("the button leads to %s", s)
	}
	if s := b.text(`document.querySelector("#checkpoints").closest("section").innerText`); !strings.Contains(s, "passive") {
		t.Errorf("the checkpoint is not shown:\n%s", s)
	}
}

// TestProgramGone: the page says that what it shows is old.
func TestProgramGone(t *testing.T) {
	db, _ := open(t, nil)
	s := httptest.NewServer(walnutweb.Handler(db))
	defer s.Close()
	b := start(t, s.URL)
	b.do(chromedp.Navigate(s.URL))
	b.wait(in("#rest", "Nobody reads"))
	if s := b.text(`String(document.querySelectorAll("form").length)`); s != "0" {
		t.Error("there are buttons without WithActions")
	}
	b.expected.Store(true)
	s.CloseClientConnections()
	s.Close()
	b.wait(in("#health", "does not reach the program"))
	b.wait(in("#said", "does not reach the program"))
}
