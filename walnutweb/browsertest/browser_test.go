package browsertest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/walnutweb"
)

// browser starts Chromium, and fails the test for anything that it complains of.
func browser(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv("CI") == "" {
		found := false
		for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
			_, err := exec.LookPath(name)
			found = found || err == nil
		}
		if !found {
			t.Skip("there is no Chromium")
		}
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 1100))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	var mu sync.Mutex
	var complaints []string
	chromedp.ListenTarget(ctx, func(e any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				complaints = append(complaints, fmt.Sprint(e.Args))
			}
		}
	})
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if len(complaints) > 0 {
			t.Errorf("the browser complains: %s", strings.Join(complaints, "; "))
		}
	})
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// until waits until a JavaScript expression is true.
func until(expression string) chromedp.Action {
	return chromedp.Poll(expression, nil, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(30*time.Second))
}

// has is the expression that an element's text has that in it.
func has(selector, text string) string {
	return fmt.Sprintf("(document.querySelector(%q)?.textContent ?? '').includes(%q)", selector, text)
}

func commit(t *testing.T, db *walnut.DB, pages int) {
	t.Helper()
	if err := db.Update(context.Background(), func(tx *walnut.Tx) error {
		for n := 2; n < 2+pages; n++ {
			p, err := tx.Write(walnut.PageNo(n))
			if err != nil {
				return err
			}
			p[100]++
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, db *walnut.DB, label string) *walnut.Tx {
	t.Helper()
	tx, err := db.Begin(walnut.WithLabel(context.Background(), label), &walnut.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// shoot keeps a picture of the page.
func shoot(t *testing.T, ctx context.Context, name, scheme string) {
	t.Helper()
	var png []byte
	must(t, ctx, "screenshot", emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.FullScreenshot(&png, 100))
	dir := filepath.Join("..", "..", "build", "screenshots")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o666); err != nil {
		t.Fatal(err)
	}
}

// writers commit until stop is called.
func writers(t *testing.T, db *walnut.DB, n int) (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				if err := db.Update(walnut.WithLabel(context.Background(), fmt.Sprintf("import %d", i)), func(tx *walnut.Tx) error {
					p, err := tx.Write(walnut.PageNo(10 + i))
					if err == nil {
						p[200]++
					}
					return err
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() { close(quit); wg.Wait() }
}

func TestPageInBrowser(t *testing.T) {
	db, err := walnut.Open(filepath.Join(t.TempDir(), "shop.db"), &walnut.Options{MaxLogSize: 16 << 20, ReaderGrace: time.Hour, MaxWriterHold: -1, AutoCheckpoint: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	commit(t, db, 300)
	mux := http.NewServeMux()
	mux.Handle("/debug/walnut/", walnutweb.Handler(db, walnutweb.WithActions()))
	server := httptest.NewServer(mux)
	defer server.Close()
	ctx := browser(t)

	must(t, ctx, "the page loads", chromedp.Navigate(server.URL+"/debug/walnut/"), chromedp.WaitVisible("#health"),
		until(has("#readers-h ~ .none", "Nobody reads")))

	const label = `nightly report <b onmouseover="alert(1)">`
	old := read(t, db, label)
	commit(t, db, 100)
	must(t, ctx, "a reader appears with its label", until(has("#live table", label)), until(has("svg.log", "Reader “nightly report")))
	var bold int
	must(t, ctx, "the label is text", chromedp.Evaluate(`document.querySelectorAll("#live b, [onmouseover]").length`, &bold))
	if bold != 0 {
		t.Error("a label became an element")
	}

	stop := writers(t, db, 4)
	second := read(t, db, "GET /orders")
	must(t, ctx, "rates are shown", until(`document.querySelectorAll("#commits .line")[0].getAttribute("d").split("L").length > 4`))
	shoot(t, ctx, "page-light", "light")
	shoot(t, ctx, "page-dark", "dark")
	stop()
	_ = second.Rollback()

	// By the keyboard alone: to the first button, and press it.
	must(t, ctx, "focus", chromedp.Evaluate(`document.activeElement.blur()`, nil))
	reached := false
	for range 10 {
		var on string
		must(t, ctx, "tab", chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(`document.activeElement.value || ""`, &on))
		if reached = on == "passive"; reached {
			break
		}
	}
	if !reached {
		t.Fatal("the keyboard does not reach the button")
	}
	before := db.Stats().CheckpointTime.Count
	must(t, ctx, "a checkpoint by the keyboard", chromedp.KeyEvent(kb.Enter), until(has("#outcome", "the rest is kept by 1 reader")))
	_ = old.Rollback()
	must(t, ctx, "the reader goes", until(has("#readers-h ~ .none", "Nobody reads")))
	must(t, ctx, "a checkpoint by the mouse", chromedp.Click(`button[value=truncate]`), until(has("#outcome", "The truncate checkpoint is done")),
		until(has("#health", "the log is empty")))
	if n := db.Stats().CheckpointTime.Count; n < before+2 {
		t.Errorf("%d checkpoints, and %d before", n, before)
	}
	if st := db.Stats(); st.LogFrames != 0 {
		t.Errorf("the log has %d frames", st.LogFrames)
	}

	var frozen, later string
	must(t, ctx, "pause", chromedp.Click("#pause"), chromedp.Text("#time", &frozen))
	commit(t, db, 1)
	must(t, ctx, "go on", chromedp.Click("#pause"), until(has("#live .facts", "1")), chromedp.Text("#time", &later))

	server.CloseClientConnections()
	server.Close()
	must(t, ctx, "the program has gone", until(has("#health", "does not reach the program")))
}

// TestNarrow: on a telephone nothing is wider than the screen.
func TestNarrow(t *testing.T) {
	db, err := walnut.Open(filepath.Join(t.TempDir(), "a.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	commit(t, db, 30)
	tx := read(t, db, strings.Repeat("long label ", 20))
	defer tx.Rollback()
	server := httptest.NewServer(http.StripPrefix("/a/b", walnutweb.Handler(db, walnutweb.WithActions())))
	defer server.Close()
	ctx := browser(t)
	var wide bool
	must(t, ctx, "a narrow page", emulation.SetDeviceMetricsOverride(390, 844, 1, true), chromedp.Navigate(server.URL+"/a/b/"),
		chromedp.WaitVisible("#health"), chromedp.Evaluate(`document.documentElement.scrollWidth > innerWidth + 1`, &wide))
	shoot(t, ctx, "page-narrow", "light")
	if wide {
		t.Error("the page is wider than the screen")
	}
}
