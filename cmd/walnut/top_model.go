package main

// This file is "walnut top" on a terminal. At any time there is at most one
// question to the other side, or one pause between two: the answer begins the
// pause, and its end asks again. So a slow or absent process is not asked
// faster than it answers.

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/walnutdb/walnut/walnutweb"
)

// topHistory is how many pictures the rates are over.
const topHistory = 10

// topModel is the state of the program.
type topModel struct {
	ctx     context.Context
	address string
	fetch   func(context.Context) (*walnutweb.Status, error)
	every   time.Duration

	width, height int
	seen          []*walnutweb.Status // the last topHistory, the oldest first
	failed        error               // of the last attempt
	tries         int                 // that failed in a row
	paused, help  bool
	top           int // first line that is shown
}

// statusMsg is an answer, askMsg the end of a pause.
type (
	statusMsg struct {
		status *walnutweb.Status
		err    error
	}
	askMsg struct{}
)

func newTopModel(ctx context.Context, address string, fetch func(context.Context) (*walnutweb.Status, error), every time.Duration) *topModel {
	return &topModel{ctx: ctx, address: address, fetch: fetch, every: every, width: 80, height: 24}
}

// Init implements tea.Model.
func (m *topModel) Init() tea.Cmd { return m.ask }

func (m *topModel) ask() tea.Msg {
	s, err := m.fetch(m.ctx)
	return statusMsg{s, err}
}

// Update implements tea.Model.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case askMsg:
		if m.paused {
			return m, m.pause()
		}
		return m, m.ask
	case statusMsg:
		m.take(msg)
		return m, m.pause()
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	}
	m.scroll(0)
	return m, nil
}

// pause waits until the next question.
func (m *topModel) pause() tea.Cmd {
	return tea.Tick(m.every, func(time.Time) tea.Msg { return askMsg{} })
}

// take keeps an answer. One that comes after the pause began is not shown.
func (m *topModel) take(msg statusMsg) {
	switch {
	case m.paused:
	case msg.err != nil:
		m.failed, m.tries = msg.err, m.tries+1
	default:
		m.failed, m.tries = nil, 0
		m.seen = append(m.seen, msg.status)
		m.seen = m.seen[max(0, len(m.seen)-topHistory):]
	}
	m.scroll(0)
}

func (m *topModel) key(name string) tea.Cmd {
	switch name {
	case "q", "ctrl+c":
		return tea.Quit
	case "esc":
		m.help = false
	case "p", "space":
		m.paused = !m.paused
	case "?", "h":
		m.help, m.top = !m.help, 0
	case "up", "k":
		m.scroll(-1)
	case "down", "j":
		m.scroll(1)
	case "pgup":
		m.scroll(-m.room())
	case "pgdown":
		m.scroll(m.room())
	case "home", "g":
		m.top = 0
	case "end", "G":
		m.scroll(len(m.lines()))
	}
	return nil
}

// room is how many lines there are above the last one.
func (m *topModel) room() int { return max(1, m.height-1) }

// scroll moves by n lines, within what there is.
func (m *topModel) scroll(n int) {
	m.top = max(0, min(m.top+n, len(m.lines())-m.room()))
}

var topHelp = []topLine{
	{"walnut top", looksTitle}, {},
	{text: "q            end"}, {text: "p, space     pause, and go on"},
	{text: "arrows, page keys, home, end   scroll"}, {text: "?            this, and back"}, {},
	{text: "█ frames that are in the database file   ▓ that a checkpoint could copy now"},
	{text: "░ that readers keep                      · room up to the limit"},
	{text: "The digits below the bar are the read marks that have readers."},
	{text: "Rates and quantiles are over the last ten pictures."},
}

// lines are all lines of the present picture.
func (m *topModel) lines() []topLine {
	switch {
	case m.help:
		return topHelp
	case len(m.seen) == 0 && m.failed != nil:
		return []topLine{{m.address, looksTitle}, {}, {text: "There is no answer yet."}}
	case len(m.seen) == 0:
		return []topLine{{m.address, looksTitle}, {}, {text: "Asking …"}}
	}
	var before *walnutweb.Status
	if len(m.seen) > 1 {
		before = m.seen[0]
	}
	return statusLines(m.seen[len(m.seen)-1], before, m.width)
}

// View implements tea.Model.
func (m *topModel) View() tea.View {
	all := m.lines()
	shown := all[min(m.top, len(all)):min(m.top+m.room(), len(all))]
	var b strings.Builder
	for i := range m.room() {
		if i < len(shown) {
			b.WriteString(m.styled(shown[i]))
		}
		b.WriteByte('\n')
	}
	b.WriteString(m.styled(m.lastLine(len(all))))
	v := tea.NewView(b.String())
	v.AltScreen = true
	return v
}

// styled is a line for the terminal: harmless, and never wider than it.
func (m *topModel) styled(l topLine) string {
	text := strings.TrimRight(clip(l.text, m.width), " ")
	if s, ok := styles[l.look]; ok && text != "" {
		return s.Render(text)
	}
	return text
}

func (m *topModel) lastLine(all int) topLine {
	switch {
	case m.failed != nil:
		return topLine{fmt.Sprintf("No answer (%s), trying again: %v", count(m.tries, "attempt"), m.failed), looksBad}
	case m.paused:
		return topLine{"Paused: p goes on, q ends.", looksNote}
	}
	text := "q end  p pause  ? help"
	if all > m.room() {
		text += fmt.Sprintf("  ↑↓ lines %d–%d of %d", m.top+1, min(m.top+m.room(), all), all)
	}
	return topLine{text: text}
}
