package walnutweb_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/walnutweb"
)

// nasty is a label that is to be shown and not to be run.
const nasty = `<script>alert("x")</script>'&`

// serve opens a database, with a reader of that label, and serves its page below
// /debug/walnut/.
func serve(t *testing.T, options ...walnutweb.Option) (*walnut.DB, string) {
	t.Helper()
	db, err := walnut.Open(filepath.Join(t.TempDir(), "a.db"), &walnut.Options{AutoCheckpoint: -1})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db)
	tx, err := db.Begin(walnut.WithLabel(context.Background(), nasty), &walnut.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db)
	mux := http.NewServeMux()
	mux.Handle("/debug/walnut/", walnutweb.Handler(db, options...))
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.Close()
		_ = tx.Rollback()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, s.URL + "/debug/walnut/"
}

func commit(t *testing.T, db *walnut.DB) {
	t.Helper()
	if err := db.Update(context.Background(), func(tx *walnut.Tx) error {
		p, err := tx.Write(2)
		if err == nil {
			p[100]++
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPage(t *testing.T) {
	_, url := serve(t)
	for name, want := range map[string]struct{ kind, text string }{
		"":            {"text/html", "<h1>Walnut</h1>"},
		"live":        {"text/html", "Readers"},
		"style.css":   {"text/css", "prefers-color-scheme"},
		"app.js":      {"javascript", "fetch"},
		"status.json": {"application/json", `"readers"`},
	} {
		res, body := do(t, request(t, "GET", url+name, nil))
		if res.StatusCode != 200 || !strings.Contains(res.Header.Get("Content-Type"), want.kind) || !strings.Contains(body, want.text) {
			t.Errorf("%q: %s, %s", name, res.Status, res.Header.Get("Content-Type"))
		}
		if p := res.Header.Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || strings.Contains(p, "unsafe") {
			t.Errorf("%q: policy %q", name, p)
		}
		if res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q may be cached", name)
		}
		if strings.Contains(body, "//") && name == "" {
			for _, host := range []string{"http://", "https://"} {
				if strings.Contains(body, host) {
					t.Errorf("the page names another host")
				}
			}
		}
	}
	if res, _ := do(t, request(t, "GET", url+"nothing", nil)); res.StatusCode != 404 {
		t.Errorf("what is not there: %s", res.Status)
	}
}

// TestEscaped: labels and statements are text, whatever they hold.
func TestEscaped(t *testing.T) {
	_, url := serve(t)
	for _, name := range []string{"", "live"} {
		_, body := do(t, request(t, "GET", url+name, nil))
		if strings.Contains(body, "<script>alert") || !strings.Contains(body, "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;&#39;&amp;") {
			t.Errorf("%q: the label is not escaped", name)
		}
		if strings.Contains(body, "style=") || strings.Contains(body, "onclick=") {
			t.Errorf("%q has what its policy forbids", name)
		}
	}
}

func TestStatus(t *testing.T) {
	db, url := serve(t)
	_, body := do(t, request(t, "GET", url+"status.json", nil))
	var s walnutweb.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	if s.Path != db.Path() || s.Stats.Commits != 2 || len(s.Readers) != 1 || s.Readers[0].Label != nasty || s.Readers[0].LogFrames == 0 || s.Actions || time.Since(s.Time) > time.Hour {
		t.Errorf("%+v", s)
	}
}

// TestNothingChangesOnGet: without actions nothing changes at all, with them by
// POST of the page itself only.
func TestNothingChangesOnGet(t *testing.T) {
	mode := func() io.Reader { return strings.NewReader(url.Values{"mode": {"passive"}}.Encode()) }
	post := func(url string) *http.Request {
		r := request(t, "POST", url, mode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	db, url := serve(t)
	if res, _ := do(t, post(url+"checkpoint")); res.StatusCode != 405 {
		t.Errorf("a POST without actions: %s", res.Status)
	}
	if res, _ := do(t, request(t, "DELETE", url, nil)); res.StatusCode != 405 {
		t.Errorf("a DELETE: %s", res.Status)
	}
	if n := len(db.Checkpoints()); n != 0 {
		t.Errorf("%d checkpoints were run", n)
	}

	db, url = serve(t, walnutweb.WithActions())
	for _, u := range []string{"checkpoint", "checkpoint?mode=truncate"} {
		if res, _ := do(t, request(t, "GET", url+u, nil)); res.StatusCode != 405 {
			t.Errorf("GET %s: %s", u, res.Status)
		}
	}
	for header, value := range map[string]string{"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"} {
		r := post(url + "checkpoint")
		r.Header.Set(header, value)
		if res, _ := do(t, r); res.StatusCode != 403 {
			t.Errorf("with %s %s: %s", header, value, res.Status)
		}
	}
	if n := len(db.Checkpoints()); n != 0 {
		t.Errorf("%d checkpoints were run", n)
	}
	r := request(t, "POST", url+"checkpoint", strings.NewReader("mode=all"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res, _ := do(t, r); res.StatusCode != 400 {
		t.Errorf("an unknown mode: %s", res.Status)
	}

	r = post(url + "checkpoint")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	res, _ := do(t, r)
	if res.StatusCode != 303 || res.Header.Get("Location") != "/debug/walnut/#checkpoints" && res.Header.Get("Location") != "./#checkpoints" {
		t.Errorf("a checkpoint: %s, to %q", res.Status, res.Header.Get("Location"))
	}
	r = post(url + "checkpoint")
	r.Header.Set("Accept", "application/json")
	if res, body := do(t, r); res.StatusCode != 200 || !strings.Contains(body, "the rest is kept by 1 reader") {
		t.Errorf("a checkpoint: %s, %s", res.Status, body)
	}
	if l := db.Checkpoints(); len(l) != 2 || l[0].Mode != walnut.CheckpointPassive {
		t.Errorf("checkpoints: %+v", l)
	}
}

// TestOfClosed: the page of a database that was closed still answers.
func TestOfClosed(t *testing.T) {
	db, err := walnut.Open(filepath.Join(t.TempDir(), "a.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db)
	h := walnutweb.Handler(db, walnutweb.WithActions())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	if w.Code != 200 {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/checkpoint", strings.NewReader("mode=full"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	h.ServeHTTP(w, r)
	if w.Code != 500 || !strings.Contains(w.Body.String(), "closed") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}
