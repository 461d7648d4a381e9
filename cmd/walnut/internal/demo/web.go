// The pages of the notes, and what is mounted beside them.

package demo

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/walnutweb"
)

//go:embed page.html style.css
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.html"))

// Bounds of a note, in characters, and of a list. A character is 12 bytes of a
// form at most.
const (
	maxNote = 2000
	maxForm = 16 * maxNote
	maxList = 50
)

type note struct {
	ID   int64
	At   time.Time
	Body string
}

// view is what the page shows.
type view struct {
	Query, Error string
	Body         string // of a note that was refused
	Notes        []note
	More         bool
}

// policy lets a page load its style and nothing else.
const policy = "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// handler is all that is served. A POST of another origin is refused.
func (d *Demo) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.list)
	mux.HandleFunc("POST /notes", d.add)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "style.css") })
	mux.Handle("/debug/walnut/", walnutweb.Handler(d.DB, walnutweb.WithActions()))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return http.NewCrossOriginProtection().Handler(mux)
}

func (d *Demo) list(w http.ResponseWriter, r *http.Request) {
	d.show(w, r, http.StatusOK, view{})
}

// show answers with the notes that were asked for.
func (d *Demo) show(w http.ResponseWriter, r *http.Request, status int, v view) {
	v.Query = strings.TrimSpace(r.URL.Query().Get("q"))
	var err error
	if v.Notes, err = d.find(walnut.WithLabel(r.Context(), r.Method+" "+r.URL.Path), v.Query); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if v.More = len(v.Notes) > maxList; v.More {
		v.Notes = v.Notes[:maxList]
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client has gone
}

// find returns the newest notes that contain text, one more than are shown.
func (d *Demo) find(ctx context.Context, text string) (list []note, err error) {
	rows, err := d.sql.QueryContext(ctx, `SELECT id, at, body FROM notes
		WHERE instr(lower(body), lower(?)) > 0 ORDER BY id DESC LIMIT ?`, text, maxList+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n note
		if err := rows.Scan(&n.ID, &n.At, &n.Body); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, rows.Err()
}

func (d *Demo) add(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	var tooLong *http.MaxBytesError
	if err := r.ParseForm(); errors.As(err, &tooLong) {
		d.show(w, r, http.StatusRequestEntityTooLarge, view{Error: "A note has 2,000 characters at most."})
		return
	}
	// A browser counts the end of a line as one character, and sends two.
	body := strings.TrimSpace(strings.ReplaceAll(r.PostForm.Get("body"), "\r\n", "\n"))
	switch {
	case body == "" || !utf8.ValidString(body):
		d.show(w, r, http.StatusBadRequest, view{Error: "A note needs text."})
		return
	case utf8.RuneCountInString(body) > maxNote:
		d.show(w, r, http.StatusBadRequest, view{Error: "A note has 2,000 characters at most.", Body: body})
		return
	}
	ctx := walnut.WithLabel(r.Context(), "POST /notes")
	if _, err := d.sql.ExecContext(ctx, "INSERT INTO notes(at, body) VALUES (?, ?)", time.Now().UTC(), body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
