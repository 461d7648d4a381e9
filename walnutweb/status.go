// The state of a database, as the page and `walnut top` show it.

package walnutweb

import (
	"time"

	"github.com/walnutdb/walnut"
)

// Status is what the page, and `walnut top`, show of a database at one moment.
// As JSON, durations are nanoseconds; fields are only ever added.
type Status struct {
	// Path of the database.
	Path string `json:"path"`
	// Time is when the status was taken.
	Time time.Time `json:"time"`
	// Health says in words what keeps the log from being used again, if anything
	// does, and Level how bad that is: "ok", "note" or "bad".
	Health string `json:"health"`
	Level  string `json:"level"`
	// Stats are the engine's figures. Its Failed is in Failed, as text.
	Stats  walnut.Stats `json:"stats"`
	Failed string       `json:"failed,omitempty"`
	// Readers and Writers are the open transactions, Checkpoints the last ones.
	Readers     []walnut.ReaderInfo `json:"readers"`
	Writers     []walnut.WriterInfo `json:"writers"`
	Checkpoints []Checkpoint        `json:"checkpoints"`
	// Actions: the page's buttons are on.
	Actions bool `json:"actions"`
}

// Checkpoint is a [walnut.CheckpointRecord] in words.
type Checkpoint struct {
	Mode       string        `json:"mode"`
	Auto       bool          `json:"auto"`
	Busy       bool          `json:"busy"`
	Times      int           `json:"times"`
	Pages      int           `json:"pages"`
	LogFrames  uint32        `json:"log_frames"`
	Backfilled uint32        `json:"backfilled"`
	WaitedFor  string        `json:"waited_for,omitempty"`
	Err        string        `json:"err,omitempty"`
	Ago        time.Duration `json:"ago"`
	Duration   time.Duration `json:"duration"`
}

// Collect takes the status of db.
func Collect(db *walnut.DB) Status {
	s := Status{Path: db.Path(), Time: time.Now(), Stats: db.Stats(), Readers: db.Readers(), Writers: db.Writers()}
	if s.Stats.Failed != nil {
		s.Failed, s.Stats.Failed = s.Stats.Failed.Error(), nil
	}
	for _, c := range db.Checkpoints() {
		w := Checkpoint{Mode: c.Mode.String(), Auto: c.Auto, Busy: c.Busy, Times: c.Times, Pages: c.Pages, LogFrames: uint32(c.LogFrames),
			Backfilled: uint32(c.Backfilled), WaitedFor: c.WaitedFor, Ago: c.Ago, Duration: c.Duration}
		if c.Err != nil {
			w.Err = c.Err.Error()
		}
		s.Checkpoints = append(s.Checkpoints, w)
	}
	s.Health, s.Level = health(&s)
	return s
}
