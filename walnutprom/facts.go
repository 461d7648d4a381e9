// The families, in the order of the dashboard's rows. A name that was once released
// stays: dashboards and alerts of others use it.

package walnutprom

import "github.com/walnutdb/walnut"

// fact is one family. One of gauge, counter, histogram and states is set.
type fact struct {
	name, help string
	gauge      func(*sample) float64
	counter    func(*sample) uint64
	histogram  func(*sample) (walnut.Histogram, scale)
	// labels and states: a gauge for each state.
	labels []string
	states func(*sample) []state
}

type state struct {
	state string
	value float64
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func in(s scale, of func(*sample) walnut.Histogram) func(*sample) (walnut.Histogram, scale) {
	return func(x *sample) (walnut.Histogram, scale) { return of(x), s }
}

var facts = []fact{
	// Log.
	{name: "log_size_bytes", help: "Size of the log file, with the part that is filled ahead. A file does not shrink by itself; see walnut_log_frames for what is in it.",
		gauge: func(s *sample) float64 { return float64(s.LogBytes) }},
	{name: "log_limit_bytes", help: "Options.MaxLogSize as the engine applies it, in whole frames; 0 is no limit. Above it writers are held for a moment, and readers that stay are detached.",
		gauge: func(s *sample) float64 { return float64(s.LimitFrames) * float64(s.FrameBytes) }},
	{name: "log_frames", help: "Published frames in the log: one for each page that a commit changed, since the log was last begun anew.",
		gauge: func(s *sample) float64 { return float64(s.LogFrames) }},
	{name: "log_frame_size_bytes", help: "Size of one frame of the log: a page and its header.",
		gauge: func(s *sample) float64 { return float64(s.FrameBytes) }},
	{name: "log_backfilled_frames", help: "Frames of the log that are copied to the database file, and synced.",
		gauge: func(s *sample) float64 { return float64(s.Backfilled) }},
	{name: "log_safe_frames", help: "Frames up to which a checkpoint could copy now; readers of older snapshots keep it from going on.",
		gauge: func(s *sample) float64 { return float64(s.SafeFrame) }},
	{name: "log_blocked", help: "1 if no frame can be copied at all now, for readers of the database file; else 0.",
		gauge: func(s *sample) float64 { return truth(s.Blocked) }},
	{name: "log_failed", help: "1 if the log refuses writes, because an append or a sync failed: close the database everywhere and open it again; else 0.",
		gauge: func(s *sample) float64 { return truth(s.Failed != nil) }},
	{name: "log_restarts_total", help: "Times that the log was begun anew, from its first frame, since the database was opened.",
		counter: func(s *sample) uint64 { return s.Restarts }},
	{name: "log_extensions_total", help: "Times that the log file was filled ahead.",
		counter: func(s *sample) uint64 { return s.LogExtensions }},

	// Commits.
	{name: "commits_total", help: "Commits that were published.",
		counter: func(s *sample) uint64 { return s.Commits }},
	{name: "group_size", help: "Commits that were appended and synced together, in one round.",
		histogram: in(sizes, func(s *sample) walnut.Histogram { return s.GroupSizes })},
	{name: "log_written_frames_total", help: "Frames that were written to the log.",
		counter: func(s *sample) uint64 { return s.FramesWritten }},
	{name: "log_written_bytes_total", help: "Bytes that were appended to the log.",
		counter: func(s *sample) uint64 { return s.BytesAppended }},
	{name: "spills_total", help: "Times that a transaction outgrew Options.TxBytes, and wrote pages to the log before its end.",
		counter: func(s *sample) uint64 { return s.Spills }},
	{name: "spilled_frames_total", help: "Frames that transactions wrote to the log before their end.",
		counter: func(s *sample) uint64 { return s.SpilledFrames }},

	// Syncs.
	{name: "log_sync_duration_seconds", help: "How long syncs of the log took. A commit at level full waits for one.",
		histogram: in(durations, func(s *sample) walnut.Histogram { return s.LogSyncTime })},
	{name: "database_sync_duration_seconds", help: "How long syncs of the database file took. Checkpoints wait for them, commits do not.",
		histogram: in(durations, func(s *sample) walnut.Histogram { return s.DatabaseSyncTime })},

	// Readers.
	{name: "readers", help: "Read transactions that have not ended, by what they need: the database file only (file), the log too (log), or neither any more of it, because they have been detached (detached).",
		labels: []string{"state"}, states: func(s *sample) []state {
			return []state{{"file", float64(s.ReadersInFile)}, {"log", float64(s.ReadersInLog)}, {"detached", float64(s.ReadersDetached)}}
		}},
	{name: "oldest_reader_age_seconds", help: "How long the oldest read transaction has been open; 0 if there is none.",
		gauge: func(s *sample) float64 { return s.oldest.Seconds() }},
	{name: "log_held_bytes", help: "The most of the log that one reader keeps from being copied and used again.",
		gauge: func(s *sample) float64 { return float64(s.held) }},
	{name: "log_holder_age_seconds", help: "How long the reader of walnut_log_held_bytes has been open, which keeps the most of the log; the oldest of them, if several keep as much; 0 if nobody keeps any.",
		gauge: func(s *sample) float64 { return s.holder.Seconds() }},
	{name: "detached_readers_total", help: "Readers that were detached: they stayed beyond Options.ReaderGrace while the log was at its limit, and read on with the help of the side file.",
		counter: func(s *sample) uint64 { return s.Detached }},
	{name: "pool_hits_total", help: "Pages that were found in the buffer pool.",
		counter: func(s *sample) uint64 { return s.PoolHits }},
	{name: "pool_misses_total", help: "Pages that had to be read, because the buffer pool did not have them. Those that come from a mapping of the database file are not counted.",
		counter: func(s *sample) uint64 { return s.PoolMisses }},

	// Writers.
	{name: "writer_queue_length", help: "Writers that wait for the writer's place.",
		gauge: func(s *sample) float64 { return float64(s.QueuedWriters) }},
	{name: "open_transactions", help: "Transactions that have not ended, of readers and writers.",
		gauge: func(s *sample) float64 { return float64(s.OpenTransactions) }},
	{name: "writer_wait_duration_seconds", help: "How long writers waited for their place, of those that found it taken.",
		histogram: in(durations, func(s *sample) walnut.Histogram { return s.WriterWait })},
	{name: "writer_hold_duration_seconds", help: "How long writers were held, because the log was at its limit (Options.MaxWriterHold).",
		histogram: in(durations, func(s *sample) walnut.Histogram { return s.WriterHold })},

	// Checkpoints.
	{name: "checkpoints_total", help: "Checkpoints that were run.",
		counter: func(s *sample) uint64 { return s.Checkpoints }},
	{name: "checkpoint_errors_total", help: "Checkpoints that failed. No commit fails with them, but the log stays until one succeeds.",
		counter: func(s *sample) uint64 { return s.CheckpointErrors }},
	{name: "checkpoint_duration_seconds", help: "How long checkpoints took, their waits included.",
		histogram: in(durations, func(s *sample) walnut.Histogram { return s.CheckpointTime })},
	{name: "checkpoint_pages_total", help: "Pages that checkpoints copied to the database file.",
		counter: func(s *sample) uint64 { return s.PagesBackfilled }},
	{name: "database_written_bytes_total", help: "Bytes that were written to the database file.",
		counter: func(s *sample) uint64 { return s.DatabaseBytes }},
	{name: "database_size_bytes", help: "Size of the database in whole pages, as a new reader sees it.",
		gauge: func(s *sample) float64 { return float64(s.PageCount) * float64(s.PageSize) }},

	// Side file.
	{name: "side_file_bytes", help: "Size of the temporary file for detached readers (Options.MaxSideBytes).",
		gauge: func(s *sample) float64 { return float64(s.SideBytes) }},
	{name: "side_file_pages", help: "Pages in the temporary file that detached readers still need.",
		gauge: func(s *sample) float64 { return float64(s.SideImages) }},
}
