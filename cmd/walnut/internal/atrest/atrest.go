// Package atrest reads a database, its log and what lies beside them as they are at
// rest, for the commands that only look: info, frames, doctor, verify, and top of
// a file. It takes no lock and changes nothing, whatever bytes the files have and
// whoever uses them meanwhile: what is read in pieces is said to be, and proves no
// damage. Memory stays in proportion to the files, but for one bounded buffer.
//
// It does not import SQLite: fuzzing instruments all that a test is linked with,
// and is slow with SQLite in it.
package atrest

// Report is what there is to say of a database and its log, and the JSON of
// "walnut info": a contract, see its help.
type Report struct {
	PageSize    int    `json:"page_size"`
	PageCount   uint32 `json:"page_count"`
	JournalMode string `json:"journal_mode"`
	Log         *Log   `json:"log"`

	// Only there when there is something to say.
	Damage  []string `json:"damage,omitempty"`
	Changed bool     `json:"changed_while_reading,omitempty"`
}

// Log is the log file. The pointers are nil where the file has no header
// that is accepted.
type Log struct {
	Bytes           int64   `json:"bytes"`
	ByteOrder       *string `json:"byte_order"`
	CheckpointSeq   *uint32 `json:"checkpoint_seq"`
	Salt1           *uint32 `json:"salt1"`
	Salt2           *uint32 `json:"salt2"`
	FramesInFile    uint32  `json:"frames_in_file"`
	CommittedFrames uint32  `json:"committed_frames"`
	Transactions    int     `json:"transactions"`
	LastCommitPages uint32  `json:"last_commit_pages"`
	IgnoredFrames   uint32  `json:"ignored_frames"`
	StopReason      string  `json:"stop_reason"`
}
