package demo

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// begin starts a demo that the test's end stops.
func begin(t *testing.T, dir string) *Demo {
	t.Helper()
	d, err := Start(Options{Addr: "127.0.0.1:0", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func stop(t *testing.T, d *Demo) {
	t.Helper()
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-d.Failed():
		t.Error(err)
	default:
	}
	http.DefaultClient.CloseIdleConnections()
}

// get fetches a page.
func get(t *testing.T, d *Demo, path string) string {
	t.Helper()
	r, err := http.Get(d.URL + path)
	return answer(t, r, err, http.StatusOK)
}

func answer(t *testing.T, r *http.Response, err error, status int) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != status {
		t.Fatalf("%s, not %d: %v\n%s", r.Status, status, err, b)
	}
	return string(b)
}

func TestNotes(t *testing.T) {
	d := begin(t, "")
	defer stop(t, d)
	post := func(body string, status int, head ...string) string {
		t.Helper()
		r, err := http.NewRequest("POST", d.URL+"/notes", strings.NewReader(url.Values{"body": {body}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(head); i += 2 {
			r.Header.Set(head[i], head[i+1])
		}
		answered, err := http.DefaultClient.Do(r)
		return answer(t, answered, err, status)
	}
	if !strings.Contains(get(t, d, "/"), "The log of this database") {
		t.Error("the first notes are not there")
	}
	// The redirect leads back to the list.
	if p := post("milk & <b>bread</b>", http.StatusOK); !strings.Contains(p, "milk &amp; &lt;b&gt;bread&lt;/b&gt;") || strings.Contains(p, "<b>bread") {
		t.Errorf("the note is not there as it was written:\n%s", p)
	}
	if p := get(t, d, "/?q=BREAD"); !strings.Contains(p, "milk") || strings.Contains(p, "The log of this") || !strings.Contains(p, `value="BREAD"`) {
		t.Errorf("the search found:\n%s", p)
	}
	if p := get(t, d, "/?q=%22%3E%3Cscript%3E"); !strings.Contains(p, "There is none") || strings.Contains(p, "<script") {
		t.Errorf("the search found:\n%s", p)
	}
	for _, body := range []string{"", " \n", "\xff"} {
		if p := post(body, http.StatusBadRequest); !strings.Contains(p, "A note needs text") {
			t.Errorf("%q is refused with\n%s", body, p)
		}
	}
	// Characters count, as the browser counts them, and what is refused is not lost.
	long := strings.Repeat("ж", maxNote)
	if p := post(strings.Repeat("\r\n", maxNote)+long, http.StatusOK); !strings.Contains(p, long) {
		t.Error("a long note is not there")
	}
	if p := post(long+"<", http.StatusBadRequest); !strings.Contains(p, "2,000 characters at most") || !strings.Contains(p, long+"&lt;</textarea>") {
		t.Errorf("a note that is too long is refused with\n%s", p)
	}
	if p := post(strings.Repeat(long, 4), http.StatusRequestEntityTooLarge); !strings.Contains(p, "2,000 characters at most") {
		t.Errorf("a note that is much too long is refused with\n%s", p)
	}
	post("from elsewhere", http.StatusForbidden, "Sec-Fetch-Site", "cross-site")
	post("from elsewhere", http.StatusForbidden, "Origin", "http://example.com")
	if p := get(t, d, "/?q=elsewhere"); !strings.Contains(p, "There is none") {
		t.Error("a note of another origin was taken")
	}
	for path, has := range map[string]string{"/style.css": "color-scheme", "/debug/walnut/": "<html", "/debug/walnut/status.json": `"readers"`, "/debug/pprof/": "goroutine"} {
		if p := get(t, d, path); !strings.Contains(p, has) {
			t.Errorf("%s does not have %s", path, has)
		}
	}
}

// TestLoad waits until all have been seen, and the report has been detached.
func TestLoad(t *testing.T) {
	d := begin(t, "")
	dir := filepath.Dir(d.File)
	want := map[string]bool{"short reader": true, "long report": true, "writer 1": true, "writer 2": true, "writer 3": true}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(want) > 0 || d.DB.Stats().Detached == 0 {
		select {
		case err := <-d.Failed():
			t.Fatal(err)
		case <-t.Context().Done():
		case <-tick.C:
		}
		for _, r := range d.DB.Readers() {
			delete(want, r.Label)
		}
		for _, w := range d.DB.Writers() {
			delete(want, w.Label)
		}
	}
	stop(t, d)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

// TestKeeps: a directory that was given keeps the notes, as one file.
func TestKeeps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "50% of it?#")
	for range 2 {
		d := begin(t, dir)
		if n := strings.Count(get(t, d, "/"), "<li>"); n != 3 {
			t.Errorf("%d notes", n)
		}
		stop(t, d)
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "notes.db" {
			t.Errorf("kept: %v, %v", left, err)
		}
	}
}

// TestCannotStart leaves nothing open.
func TestCannotStart(t *testing.T) {
	d := begin(t, "")
	defer stop(t, d)
	if _, err := Start(Options{Addr: strings.TrimPrefix(d.URL, "http://")}); err == nil {
		t.Error("two listen at one address")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Options{Addr: "127.0.0.1:0", Dir: file}); err == nil {
		t.Error("a file was taken for a directory")
	}
}
