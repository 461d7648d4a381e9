package browsertest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// demo runs "walnut demo", as a newcomer does, and returns the addresses that it
// prints: of the notes, and of the engine's page.
func demo(t *testing.T) (notes, engine string) {
	t.Helper()
	command := filepath.Join(t.TempDir(), "walnut")
	if runtime.GOOS == "windows" {
		t.Skip("nothing interrupts a process there")
	}
	build := exec.Command("go", "build", "-o", command, "./cmd/walnut")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := exec.Command(command, "demo", "--dir", t.TempDir())
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	t.Cleanup(func() {
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		last := ""
		for lines.Scan() {
			last = lines.Text()
		}
		if err := c.Wait(); err != nil || !strings.Contains(last, " commits, ") {
			t.Errorf("the demo ended with %v, %q", err, last)
		}
	})
	for engine == "" && lines.Scan() {
		switch name, address, _ := strings.Cut(lines.Text(), "  "); name {
		case "notes":
			notes = strings.TrimSpace(address)
		case "the engine":
			engine = strings.TrimSpace(address)
		}
	}
	if notes == "" || engine == "" {
		t.Fatalf("the demo prints no addresses: %q, %q", notes, engine)
	}
	return notes, engine
}

// TestDemo: the notes of "walnut demo" and the way from them to the engine's page,
// which is at work. Its screenshots are light and dark, wide and narrow.
func TestDemo(t *testing.T) {
	notes, engine := demo(t)
	b := start(t, notes)
	b.do(chromedp.Navigate(notes), chromedp.WaitVisible("ul li"))
	b.wait(in("main ul", "The log of this database"))

	// A note is shown as it was written, and found.
	note := nasty + " & <b>bread</b>\nsecond line"
	b.do(chromedp.SendKeys("#body", note))
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click("form[method=post] button")); err != nil {
		t.Fatal(err)
	}
	b.wait(in("main ul li:first-child p", note))
	if s := b.text(`String(document.querySelectorAll("main ul img, main ul b").length)`); s != "0" {
		t.Error("the note became elements of the page")
	}
	if s := b.text("location.href"); s != notes {
		t.Errorf("after adding a note the browser is at %s", s)
	}
	b.look(t, "demo-light")

	// One that is refused is not lost.
	long := strings.Repeat("ж", 2001)
	b.expected.Store(true)
	b.do(chromedp.SetValue("#body", long))
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click("form[method=post] button")); err != nil {
		t.Fatal(err)
	}
	b.wait(in("[role=alert]", "2,000 characters"))
	b.expected.Store(false)
	if b.text(`document.querySelector("#body").value`) != long {
		t.Error("the text of a note that is refused is lost")
	}
	b.scheme(t, "dark")
	b.look(t, "demo-refused-dark")

	b.do(chromedp.SetValue("#q", "BREAD"))
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click("form[role=search] button")); err != nil {
		t.Fatal(err)
	}
	b.wait(`document.querySelectorAll("main ul li").length === 1`)
	b.do(chromedp.EmulateViewport(360, 800))
	b.look(t, "demo-narrow-dark")
	b.scheme(t, "light")
	b.look(t, "demo-narrow-light")

	// The way to the engine's page, and what it shows of the load.
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(`nav a[href="/debug/walnut/"]`)); err != nil {
		t.Fatal(err)
	}
	if s := b.text("location.href"); s != engine {
		t.Errorf("the link leads to %s, and the engine is at %s", s, engine)
	}
	b.wait(in("#rest", "long report"))
	b.wait(`document.querySelector("#commits .line").getAttribute("d")?.split("L").length > 6`)
	b.look(t, "demo-engine-narrow-light")
	b.scheme(t, "dark")
	b.look(t, "demo-engine-narrow-dark")
	b.do(chromedp.EmulateViewport(1280, 900))
	b.look(t, "demo-engine-dark")
	b.scheme(t, "light")
	b.look(t, "demo-engine-light")
}

// scheme sets the colours that the visitor prefers.
func (b *browser) scheme(t *testing.T, name string) {
	t.Helper()
	p := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, p); err != nil {
		t.Fatal(err)
	}
}
