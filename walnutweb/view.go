// What the template shows: the status with its picture worked out.

package walnutweb

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/walnutdb/walnut"
)

// view is a Status to be shown.
type view struct {
	Status
	Log    picture
	Groups []bar
}

func newView(s Status) view {
	v := view{Status: s, Log: newPicture(&s), Groups: groupBars(s.Stats.GroupSizes)}
	slices.Reverse(v.Checkpoints) // the newest first
	return v
}

// longReader is from when a reader that keeps the log is worth a note.
const longReader = 10 * time.Second

// health is what whoever looks at the page wants to know first: what keeps the
// log from being used again, if anything does.
func health(s *Status) (text, level string) {
	st := &s.Stats
	if s.Failed != "" {
		return "The log has failed and refuses writes: close the database everywhere and open it again. " + s.Failed, "bad"
	}
	keeper, long := keeps(s)
	switch {
	case st.LimitFrames > 0 && st.LogFrames >= st.LimitFrames:
		text, level = "The log is at its limit: writers are held, and readers that stay are detached. "+keeper, "bad"
	case long:
		text, level = keeper, "note"
	case st.LogFrames == 0:
		text, level = "All is well: the log is empty.", "ok"
	case st.Backfilled == st.LogFrames:
		text, level = "All is well: everything in the log is in the database file too. "+keeper, "ok"
	default:
		text, level = fmt.Sprintf("All is well: %s of %s frames are to be copied yet. %s", plain(st.LogFrames-st.Backfilled), plain(st.LogFrames), keeper), "ok"
	}
	if n := len(s.Checkpoints); n > 0 && s.Checkpoints[n-1].Err != "" {
		text, level = text+" The last checkpoint failed: "+s.Checkpoints[n-1].Err+".", "bad"
	}
	return strings.TrimSpace(text), level
}

// keeps says who keeps most of the log, if somebody does; long, that it does so
// for long.
func keeps(s *Status) (text string, long bool) {
	var most *walnut.ReaderInfo
	n := 0
	for i, r := range s.Readers {
		if r.Detached || r.LogFrames == 0 {
			continue
		}
		n++
		if most == nil || r.LogFrames > most.LogFrames {
			most = &s.Readers[i]
		}
	}
	if most == nil {
		return "", false
	}
	text = capital(who(*most)) + " keeps " + size(most.LogBytes) + " of the log"
	if most.Age >= longReader {
		long = true
		text += ", for " + age(most.Age.Truncate(10*time.Second))
	}
	if n > 1 {
		text += fmt.Sprintf("; %d readers in all keep a part", n)
	}
	return text + ".", long
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// who names a reader.
func who(r walnut.ReaderInfo) string {
	switch {
	case r.Label != "":
		return "reader “" + short(r.Label, 60) + "”"
	case r.SQL != "":
		return "reader of " + short(r.SQL, 40)
	}
	return "a reader without a label"
}

// short is s, of at most n runes.
func short(s string, n int) string {
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}

// pictureWidth is the width of the picture in its own units.
const pictureWidth = 1000

// picture is the log, from its beginning to its end or its limit.
type picture struct {
	Width, Height int
	// Copied, Ready, Kept are the widths of what is in the database file, what a
	// checkpoint could copy now, and what readers keep.
	Copied, Ready, Kept float64
	// CanCopy, KeptFrames, Free are numbers of frames: the last two parts, and
	// what is left up to the limit.
	CanCopy, KeptFrames, Free walnut.FrameNo
	// Limit is where the limit is; 0 if there is none.
	Limit float64
	Pins  []pin
	More  int // readers that are not shown
	Text  string
}

// pin is a reader's place in the log.
type pin struct {
	X, LabelX, Y float64
	Anchor       string
	Text         string
}

const (
	barBottom = 62
	pinRow    = 22
	mostPins  = 8
)

func newPicture(s *Status) picture {
	st := &s.Stats
	all := max(float64(st.LogFrames), float64(st.LimitFrames), 1)
	x := func(f walnut.FrameNo) float64 { return float64(f) / all * pictureWidth }
	safe := max(st.SafeFrame, st.Backfilled)
	if st.Blocked {
		safe = st.Backfilled
	}
	p := picture{Width: pictureWidth, Copied: x(st.Backfilled), Ready: x(safe - st.Backfilled), Kept: x(st.LogFrames - safe),
		CanCopy: safe - st.Backfilled, KeptFrames: st.LogFrames - safe}
	if st.LimitFrames > 0 {
		p.Limit = x(st.LimitFrames)
		p.Free = st.LimitFrames - min(st.LimitFrames, st.LogFrames)
	}
	for _, r := range s.Readers {
		if r.Detached {
			continue
		}
		if len(p.Pins) == mostPins {
			p.More++
			continue
		}
		at := min(x(st.LogFrames-min(st.LogFrames, r.LogFrames)), pictureWidth)
		n := pin{X: at, LabelX: at + 6, Anchor: "start", Text: capital(who(r)) + ", " + age(r.Age)}
		if at > pictureWidth*0.6 {
			n.LabelX, n.Anchor = at-6, "end"
		}
		p.Pins = append(p.Pins, n)
	}
	// Texts to the right of their pins come first, from the right; then those to
	// the left, from the left: so few pins cross a text.
	slices.SortStableFunc(p.Pins, func(a, b pin) int {
		if a.Anchor != b.Anchor {
			return cmp.Compare(b.Anchor, a.Anchor)
		}
		if a.Anchor == "start" {
			return cmp.Compare(b.X, a.X)
		}
		return cmp.Compare(a.X, b.X)
	})
	for i := range p.Pins {
		p.Pins[i].Y = float64(barBottom + pinRow*(i+1))
	}
	p.Height = barBottom + 16 + pinRow*len(p.Pins)
	p.Text = fmt.Sprintf("The log has %d frames: %d are in the database file, %d more could be copied now, %d are kept by readers.",
		st.LogFrames, st.Backfilled, safe-st.Backfilled, st.LogFrames-safe)
	return p
}

// bar is one column of a histogram.
type bar struct {
	Name   string
	Count  uint64
	Height float64 // of 100
}

// groupBars are the group sizes, up to the largest there were.
func groupBars(h walnut.Histogram) (list []bar) {
	last, most := -1, uint64(1)
	for i, n := range h.Buckets {
		if n > 0 {
			last = i
		}
		most = max(most, n)
	}
	low := uint64(1)
	for i := 0; i <= last; i++ {
		high := walnut.SizeBound(i)
		name := fmt.Sprint(high)
		if low < high {
			name = fmt.Sprintf("%d–%d", low, high)
		}
		low = high + 1
		list = append(list, bar{name, h.Buckets[i], 100 * float64(h.Buckets[i]) / float64(most)})
	}
	return list
}

var functions = template.FuncMap{
	"size": func(n any) string {
		switch n := n.(type) {
		case int64:
			return size(n)
		case uint64:
			return size(int64(n))
		case int:
			return size(int64(n))
		}
		return fmt.Sprint(n)
	},
	"age": age, "short": short, "capital": capital, "plain": plain,
	"mean": func(h walnut.Histogram) string {
		if h.Count == 0 {
			return "–"
		}
		return fmt.Sprintf("%.1f", float64(h.Sum)/float64(h.Count))
	},
	"quantile": func(h walnut.Histogram, q float64) string {
		if h.Count == 0 {
			return "–"
		}
		return "≤ " + age(quantile(h, q))
	},
	"longest": func(h walnut.Histogram) string { return age(time.Duration(h.Max)) },
	"share": func(a, b uint64) string {
		if a+b == 0 {
			return "–"
		}
		return fmt.Sprintf("%.1f %%", 100*float64(a)/float64(a+b))
	},
	"keptX":  func(p picture) float64 { return p.Copied + p.Ready },
	"frames": func(n walnut.FrameNo, bytes int) string { return size(int64(n) * int64(bytes)) },
}

// quantile is the bound of the bucket that the share q of a histogram's durations
// lies in.
func quantile(h walnut.Histogram, q float64) time.Duration {
	rest := uint64(q * float64(h.Count))
	for i, n := range h.Buckets {
		if n > rest {
			return min(walnut.DurationBound(i), time.Duration(h.Max))
		}
		rest -= n
	}
	return time.Duration(h.Max)
}

// size is a number of bytes for people.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// age is a duration for people: two digits say enough.
func age(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return d.String()
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// plain is a number with its thousands apart.
func plain(n any) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
