package main

// Tests of "walnut top": the picture and the keys without a terminal, the
// fetcher against a live engine and against servers that answer nonsense, and
// that no text of others reaches the terminal as it is.

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	walnutdb "github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/walnutweb"
)

// evil is what a label must not do to a terminal: a title, a question, the C1
// form of an escape sequence, another line, another direction, no UTF-8.
const evil = "a\x1b]0;title\x07b\x1b[2J\u009b31mc\r\nd\x00\u202ee\u2028f\xffg\x7f\u200b"

// fixedStatus is a status in which everything happens.
func fixedStatus() *walnutweb.Status {
	s := &walnutweb.Status{Path: "/data/app.db", Time: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)}
	s.Stats = walnutdb.Stats{
		PageSize: 4096, PageCount: 5000, Generation: 12, LogFrames: 8000, Backfilled: 2000, SafeFrame: 5000,
		LogBytes: 40 << 20, FrameBytes: 4120, LimitFrames: 16000, Commits: 120000, Groups: 40000, MaxGroup: 9,
		LogSyncs: 41000, QueuedWriters: 1, ReadersDetached: 1, SideBytes: 3 << 20, Checkpoints: 31,
	}
	s.Stats.Marks[1] = walnutdb.MarkInfo{Frame: 5000, Readers: 2}
	s.Stats.LogSyncTime.Count, s.Stats.LogSyncTime.Max = 41000, uint64(9*time.Millisecond)
	s.Stats.LogSyncTime.Buckets[8], s.Stats.LogSyncTime.Buckets[13] = 40000, 1000
	s.Readers = []walnutdb.ReaderInfo{
		{Label: "GET /orders", SQL: "SELECT * FROM orders", Age: 40 * time.Millisecond, Mark: 1, LogFrames: 3000, LogBytes: 3000 * 4120},
		{Label: "nightly report", Age: 75 * time.Second, Mark: -1, Detached: true},
		{Age: 2 * time.Second, AtLeast: true, Mark: 0, InFile: true},
	}
	s.Writers = []walnutdb.WriterInfo{{SQL: "INSERT INTO orders VALUES (?)", Age: 3 * time.Millisecond}, {Label: "POST /orders", Waiting: true, Age: time.Millisecond}}
	s.Checkpoints = []walnutweb.Checkpoint{
		{Mode: "passive", Auto: true, Pages: 900, LogFrames: 6000, Backfilled: 2000, WaitedFor: "reader “GET /orders”", Ago: 3 * time.Second, Duration: 12 * time.Millisecond},
		{Mode: "full", Err: "disk full", Ago: time.Second, Duration: time.Millisecond},
	}
	return s
}

var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// picture is what the model shows, without its styles.
func picture(t *testing.T, m *topModel) string {
	t.Helper()
	text := sgr.ReplaceAllString(m.View().Content, "")
	lines := strings.Split(text, "\n")
	if len(lines) > max(m.height, 2) {
		t.Errorf("%d lines on a terminal of %d", len(lines), m.height)
	}
	for _, l := range lines {
		if w := lipgloss.Width(l); w > m.width {
			t.Errorf("%d cells on a terminal of %d: %q", w, m.width, l)
		}
		if l != harmless(l) {
			t.Errorf("not harmless: %q", l)
		}
	}
	return text + "\n"
}

func key(m *topModel, k tea.Key) tea.Cmd {
	_, cmd := m.Update(tea.KeyPressMsg(k))
	return cmd
}

func newTestTop() *topModel {
	return newTopModel(context.Background(), "http://localhost/walnut/", nil, time.Second)
}

func TestTopPicture(t *testing.T) {
	m := newTestTop()
	m.Update(tea.WindowSizeMsg{Width: 90, Height: 30})
	first := fixedStatus()
	first.Time = first.Time.Add(-2 * time.Second)
	first.Stats.Commits, first.Stats.Groups, first.Stats.LogSyncs = 119000, 39500, 40400
	m.Update(statusMsg{status: first})
	if _, cmd := m.Update(statusMsg{status: fixedStatus()}); cmd == nil {
		t.Error("nothing asks again after an answer")
	}
	golden(t, "top", "DIR", outcome{out: picture(t, m)})
	if !sgr.MatchString(m.View().Content) || !m.View().AltScreen {
		t.Error("no style, or not on the other screen")
	}
	for _, size := range [][2]int{{1, 1}, {20, 5}, {300, 100}, {0, 0}} {
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		picture(t, m)
	}
}

// TestTopHealth: what the page says first is said here too, as a whole.
func TestTopHealth(t *testing.T) {
	s := fixedStatus()
	for level, want := range map[string]look{"ok": looksPlain, "note": looksNote, "bad": looksBad} {
		s.Health, s.Level = "Reader “nightly report” keeps 866.8 MiB of the log, for 3m50s.", level
		l := healthLines(s, 30)
		if len(l) != 3 || l[0].look != want || l[1].text != "866.8 MiB of the log, for" {
			t.Errorf("%s: %+v", level, l)
		}
	}
	// Of a page that does not say it.
	s.Health, s.Stats.LogFrames = "", s.Stats.LimitFrames
	if l := healthLines(s, 100); len(l) != 1 || !strings.Contains(l[0].text, "at its limit") || l[0].look != looksBad {
		t.Errorf("%+v", l)
	}
}

func TestTopKeys(t *testing.T) {
	m := newTestTop()
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 8})
	m.Update(statusMsg{status: fixedStatus()})
	start := picture(t, m)
	key(m, tea.Key{Code: tea.KeyUp})
	if picture(t, m) != start {
		t.Error("scrolled above the first line")
	}
	key(m, tea.Key{Code: tea.KeyDown})
	if m.top != 1 || picture(t, m) == start {
		t.Errorf("down: line %d", m.top)
	}
	key(m, tea.Key{Code: tea.KeyEnd})
	if end := picture(t, m); !strings.Contains(end, "passive") || m.top+m.room() != len(m.lines()) {
		t.Errorf("the end is\n%s", end)
	}
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 100})
	if m.top != 0 {
		t.Error("lines are hidden though there is room")
	}
	key(m, tea.Key{Code: '?', Text: "?"})
	if !strings.Contains(picture(t, m), "pause, and go on") {
		t.Error("no help")
	}
	key(m, tea.Key{Code: '?', Text: "?"})
	key(m, tea.Key{Code: 'p', Text: "p"})
	later := fixedStatus()
	later.Path = "/data/other.db"
	m.Update(statusMsg{status: later})
	if p := picture(t, m); strings.Contains(p, "other.db") || !strings.Contains(p, "Paused") {
		t.Errorf("paused:\n%s", p)
	}
	cmd := key(m, tea.Key{Code: 'q', Text: "q"})
	if cmd == nil {
		t.Fatal("q does nothing")
	}
	if _, ok := cmd().(tea.QuitMsg); !ok {
		t.Error("q does not end")
	}
}

// TestTopConnectionFails: shown, with the last picture above it, and tried again.
func TestTopConnectionFails(t *testing.T) {
	m := newTestTop()
	_, cmd := m.Update(statusMsg{err: errors.New("refused" + evil)})
	if p := picture(t, m); cmd == nil || !strings.Contains(p, "No answer (1 attempt), trying again: refused") {
		t.Errorf("%v\n%s", cmd, p)
	}
	m.Update(statusMsg{status: fixedStatus()})
	m.Update(statusMsg{err: errors.New("refused")})
	if p := picture(t, m); !strings.Contains(p, "app.db") || !strings.Contains(p, "No answer") {
		t.Errorf("the last picture is gone:\n%s", p)
	}
	m.Update(statusMsg{status: fixedStatus()})
	if strings.Contains(picture(t, m), "No answer") {
		t.Error("the failure stays")
	}
	restarted := fixedStatus()
	restarted.Stats.Commits, restarted.Stats.Groups, restarted.Stats.LogSyncs = 1, 1, 1
	m.Update(statusMsg{status: restarted})
	picture(t, m) // a process that began anew: counts went back
}

func TestTopHarmless(t *testing.T) {
	s := fixedStatus()
	for _, p := range []*string{&s.Path, &s.Failed, &s.Health, &s.Level, &s.Readers[0].Label, &s.Readers[0].SQL, &s.Writers[0].SQL, &s.Checkpoints[0].WaitedFor, &s.Checkpoints[1].Err, &s.Checkpoints[1].Mode} {
		*p = evil
	}
	m := newTestTop()
	m.Update(tea.WindowSizeMsg{Width: 100, Height: 50})
	m.Update(statusMsg{status: s})
	picture(t, m)

	// And on the way from a server to a pipe.
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(s)
	}))
	defer srv.Close()
	for _, args := range [][]string{{"top", srv.URL}, {"top", "--json", srv.URL}} {
		out := must(t, args...)
		for l := range strings.Lines(out) {
			if l = strings.TrimSuffix(l, "\n"); l != harmless(l) {
				t.Errorf("%v: %q", args, l)
			}
		}
		if !strings.Contains(out, "a\ufffd]0;title\ufffdb") {
			t.Errorf("%v: the label is not there:\n%s", args, out)
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"abc", 0, ""}, {"", 0, ""}, {"漢字漢字", 5, "漢字…"}, {"漢字", 2, "…"},
		{strings.Repeat("x", 10000), 2, "x…"}, {"a", -1, ""},
	} {
		if got := clip(c.in, c.n); got != c.want {
			t.Errorf("clip(%.10q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

func TestTopLive(t *testing.T) {
	db, err := walnutdb.Open(filepath.Join(t.TempDir(), "live.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	mux := http.NewServeMux()
	mux.Handle("/walnut/", http.StripPrefix("/walnut", walnutweb.Handler(db)))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for _, path := range []string{"/walnut", "/walnut/", "/walnut/status.json", "/walnut/#checkpoints"} {
		out := must(t, "top", "--once", srv.URL+path)
		if !strings.Contains(out, "live.db") || !strings.Contains(out, "Readers  0") {
			t.Errorf("%s:\n%s", path, out)
		}
	}
	s := walnutweb.Status{}
	if err := json.Unmarshal([]byte(must(t, "top", "--json", srv.URL+"/walnut/")), &s); err != nil || s.Path != db.Path() {
		t.Errorf("%v, %q", err, s.Path)
	}
}

func TestTopRefuses(t *testing.T) {
	answer := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer == "" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer srv.Close()
	for body, has := range map[string]string{
		"": "418", "<html>\x1b[2J": "not the status", "{}": "not the status", `{"stats":7}`: "not the status", "null": "not the status",
		"{": "not the status",
	} {
		answer = body
		o := walnut(t, "", "top", srv.URL)
		if o.status != exitError || !strings.Contains(o.err, has) || strings.Contains(o.err, "\x1b") {
			t.Errorf("%q: status %d, %q", body, o.status, o.err)
		}
	}
	srv.Close()
	for arg, has := range map[string]string{
		srv.URL: "refused", "ftp://x/": "http://", "http://": "http://", "http://\x1b[2J/": "no URL",
	} {
		o := walnut(t, "", "top", arg)
		if o.status != exitError || !strings.Contains(o.err, has) || strings.Contains(o.err, "\x1b") {
			t.Errorf("%q: status %d, %q", arg, o.status, o.err)
		}
	}
}

// testPage1 is the first page of a database in WAL mode.
func testPage1(pageSize int, pages uint32) []byte {
	b := make([]byte, pageSize)
	copy(b, "SQLite format 3\x00")
	binary.BigEndian.PutUint16(b[16:], uint16(pageSize))
	b[18], b[19], b[21], b[22], b[23] = 2, 2, 64, 32, 32
	binary.BigEndian.PutUint32(b[24:], 1)
	binary.BigEndian.PutUint32(b[28:], pages)
	binary.BigEndian.PutUint32(b[44:], 4)
	binary.BigEndian.PutUint32(b[56:], 1)
	binary.BigEndian.PutUint32(b[92:], 1)
	b[100] = 13
	return b
}

// write makes a file.
func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTopAtRest(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.db")
	log := newTestLog(512)
	log.addPage(1, 0, testPage1(512, 3)).add(2, 0).add(3, 3).add(2, 3).add(2, 3).add(3, 0).zeros(5 * 536)
	write(t, file, testPage1(512, 3))
	write(t, file+"-wal", log.b)
	golden(t, "top-rest", dir, walnut(t, "", "top", file))
	golden(t, "top-rest-json", dir, walnut(t, "", "top", "--json", file))
	write(t, file+"-wal", nil)
	write(t, file, append(testPage1(512, 3), make([]byte, 1024)...))
	if out := must(t, "top", file); !strings.Contains(out, "At rest") {
		t.Error(out)
	}
}

func TestTopOnFixtures(t *testing.T) {
	eachFixture(t, func(t *testing.T, name, db string, e *expected) {
		info, top := walnut(t, "", "info", db), walnut(t, "", "top", db)
		if top.status != info.status || top.err != info.err {
			t.Errorf("status %d, %q; info: %d, %q", top.status, top.err, info.status, info.err)
		}
	})
}
