// The handler: which request gets what. Every answer forbids caching and whatever
// is not this handler's own.

package walnutweb

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"time"

	"github.com/walnutdb/walnut"
)

//go:embed page.html style.css app.js
var files embed.FS

// Option changes a [Handler].
type Option func(*handler)

// WithActions puts buttons on the page that run checkpoints. They are for
// requests of the page itself: a POST of another origin is refused.
func WithActions() Option { return func(h *handler) { h.actions = true } }

type handler struct {
	db      *walnut.DB
	actions bool
	page    *template.Template
	origins http.CrossOriginProtection
}

// Handler returns the page of db, below whatever path it is mounted at; that must
// end in a slash. It may be used concurrently, until db is closed and after.
func Handler(db *walnut.DB, options ...Option) http.Handler {
	h := &handler{db: db, page: template.Must(template.New("").Funcs(functions).ParseFS(files, "page.html"))}
	for _, o := range options {
		o(h)
	}
	return h
}

// policy is the Content-Security-Policy: scripts, styles and requests of this
// origin, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cache-Control", "no-store")
	_, name := path.Split(r.URL.Path)
	if name == "checkpoint" && h.actions {
		h.checkpoint(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "nothing here is changed by "+r.Method, http.StatusMethodNotAllowed)
		return
	}
	switch name {
	case "":
		h.render(w, "page")
	case "live":
		h.render(w, "live")
	case "status.json":
		head.Set("Content-Type", "application/json")
		s := Collect(h.db)
		s.Actions = h.actions
		_ = json.NewEncoder(w).Encode(s) // the client has gone
	case "style.css", "app.js":
		http.ServeFileFS(w, r, files, name)
	default:
		http.NotFound(w, r)
	}
}

// render answers with a template.
func (h *handler) render(w http.ResponseWriter, name string) {
	s := Collect(h.db)
	s.Actions = h.actions
	var b bytes.Buffer
	if err := h.page.ExecuteTemplate(&b, name, newView(s)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // the client has gone
}

// checkpointWait bounds how long a button waits for others.
const checkpointWait = 5 * time.Second

var modes = map[string]walnut.CheckpointMode{
	"passive": walnut.CheckpointPassive, "full": walnut.CheckpointFull,
	"restart": walnut.CheckpointRestart, "truncate": walnut.CheckpointTruncate,
}

// checkpoint runs one, for a POST of the page.
func (h *handler) checkpoint(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "a checkpoint is run by POST", http.StatusMethodNotAllowed)
		return
	}
	if err := h.origins.Check(r); err != nil {
		http.Error(w, "a checkpoint is run from the page only: "+err.Error(), http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
	mode, ok := modes[r.PostFormValue("mode")]
	if !ok {
		http.Error(w, "mode must be passive, full, restart or truncate", http.StatusBadRequest)
		return
	}
	ctx := walnut.WithLabel(context.WithoutCancel(r.Context()), "walnutweb")
	res, err := h.db.Checkpoint(ctx, mode, &walnut.CheckpointOptions{Wait: checkpointWait})
	if r.Header.Get("Accept") != "application/json" { // the form, without the script
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		// Not by http.Redirect: it would make an absolute path of it, and this
		// handler does not know what StripPrefix took away.
		w.Header().Set("Location", "./#checkpoints")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"text": outcome(res, err), "ok": err == nil && !res.Busy})
}

// outcome says in a sentence what a checkpoint did.
func outcome(r walnut.CheckpointResult, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("The %s checkpoint failed: %v", r.Mode, err)
	case r.Busy:
		return fmt.Sprintf("The %s checkpoint gave up after %s: it waited for %s. %d of %d frames are in the database file.",
			r.Mode, checkpointWait, r.WaitedFor, r.Backfilled, r.LogFrames)
	case r.WaitedFor != "":
		return fmt.Sprintf("The %s checkpoint copied up to frame %d of %d; the rest is kept by %s.", r.Mode, r.Backfilled, r.LogFrames, r.WaitedFor)
	}
	return fmt.Sprintf("The %s checkpoint is done: %d of %d frames are in the database file.", r.Mode, r.Backfilled, r.LogFrames)
}
