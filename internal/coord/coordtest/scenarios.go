// The scenarios. Each of the first few has one pair of rules that meet; the others
// add who could come between.

package coordtest

// commits has n commits in the log.
func commits(n int) func(*world) {
	return func(w *world) {
		for range n {
			w.commit()
		}
	}
}

// copied has n commits, all of them in the database file.
func copied(n int) func(*world) {
	return func(w *world) {
		commits(n)(w)
		w.backfill()
	}
}

// behind has an old reader of the first of two commits.
func behind(w *world) {
	w.commit()
	w.hold()
	w.commit()
}

// leaving has a reader of the only commit, which leaves as an actor.
func leaving(w *world) {
	w.commit()
	w.hold()
}

// staying has a reader of the first of two commits, which may be detached.
func staying(w *world) {
	w.commit()
	w.stay()
	w.commit()
}

// crowdedButOne has old readers on three marks.
func crowdedButOne(w *world) {
	for range 3 {
		w.commit()
		w.hold()
	}
}

// crowded has four old readers on four marks, and one more commit.
func crowded(w *world) {
	for range 4 {
		w.commit()
		w.hold()
	}
	w.commit()
}

var scenarios = []scenario{
	// Readers beside a checkpoint and a restart, at every access to a slot.
	{name: "reader, checkpoint", setup: commits(1), actors: []role{{"reader", reader}, {"checkpoint", passive}}},
	{name: "reader, restart and commit", setup: copied(2), actors: []role{{"reader", reader}, {"writer", writer}}},
	{name: "reader, TRUNCATE", long: true, setup: commits(1), actors: []role{{"reader", reader}, {"TRUNCATE", truncator}}},
	{name: "reader, checkpoint, restart, commit", long: true, setup: commits(1), actors: []role{{"reader", reader}, {"circle", circle}}},

	// The same with more actors.
	{name: "reader, writer, checkpoint", coarse: true, setup: commits(1),
		actors: []role{{"reader", reader}, {"writer", writer}, {"checkpoint", passive}}},
	{name: "reader behind, writer, checkpoint", coarse: true, setup: behind,
		actors: []role{{"reader", reader}, {"committer", committer}, {"checkpoint", passive}}},
	{name: "readers on all marks, reader, checkpoint", coarse: true, setup: crowded,
		actors: []role{{"reader", reader}, {"committer", committer}, {"checkpoint", passive}}},
	{name: "reader in file, keeper, checkpoint", coarse: true, setup: copied(1),
		actors: []role{{"reader", reader}, {"keeper", keeper}, {"checkpoint", passive}}},
	{name: "keeper, checkpoint", coarse: true, setup: commits(1),
		actors: []role{{"keeper", keeper}, {"committer", committer}, {"checkpoint", passive}}},
	{name: "reader, checkpoint, restart", coarse: true, setup: commits(1),
		actors: []role{{"reader", reader}, {"checkpoint", passive}, {"restart", restarter}}},
	{name: "reader, restart and commit, checkpoint", coarse: true, setup: copied(2),
		actors: []role{{"reader", reader}, {"writer", writer}, {"checkpoint", passive}}},
	{name: "two readers, checkpoint", coarse: true, setup: commits(2),
		actors: []role{{"reader 1", reader}, {"reader 2", reader}, {"checkpoint", passive}}},
	{name: "two readers, writer, restart", coarse: true, long: true, setup: copied(1),
		actors: []role{{"reader 1", reader}, {"reader 2", reader}, {"writer", writer}}},
	{name: "writers, checkpoint", coarse: true, setup: commits(1),
		actors: []role{{"writer 1", writer}, {"writer 2", writer}, {"checkpoint", passive}}},
	{name: "checkpoints", coarse: true, setup: commits(2),
		actors: []role{{"PASSIVE", passive}, {"FULL", full}, {"TRUNCATE", truncator}}},
	{name: "reader, committer, TRUNCATE", coarse: true, long: true, setup: commits(1),
		actors: []role{{"reader", reader}, {"committer", committer}, {"TRUNCATE", truncator}}},

	{name: "reader leaves, reader, restart and commit", coarse: true, long: true, setup: leaving,
		actors: []role{{"leaver", leaver}, {"reader", reader}, {"circle", circle}}},
	{name: "readers on all marks but one, keeper, reader, checkpoint", coarse: true, long: true, setup: crowdedButOne,
		actors: []role{{"leaver", leaver}, {"keeper", keeper}, {"reader", reader}, {"checkpoint", passive}}},

	// Detached readers: at every step of a read, on different snapshots, beside a
	// checkpoint that fails.
	{name: "fetcher, holder", coarse: true, long: true, setup: commits(2), actors: []role{{"fetcher", fetcher}, {"holder", holder}}},
	{name: "fetcher in file, holder, checkpoint", coarse: true, long: true, setup: copied(1),
		actors: []role{{"fetcher", fetcher}, {"holder", holder}, {"checkpoint", passive}}},
	{name: "fetcher, holders", coarse: true, minutes: true, setup: copied(1),
		actors: []role{{"fetcher", secondPage}, {"holder 1", holder}, {"holder 2", holder}}},
	{name: "reader that stays, fetcher, holder", coarse: true, long: true, setup: staying,
		actors: []role{{"fetcher", secondPage}, {"holder", holder}}},
	{name: "reader that stays, holders", coarse: true, long: true, setup: staying,
		actors: []role{{"holder 1", holder}, {"holder 2", holder}}},
	{name: "fetcher, holder, failing checkpoint", coarse: true, long: true, setup: copied(1),
		actors: []role{{"fetcher", secondPage}, {"holder", holder}, {"failing", failing}}},

	// The queue.
	{name: "queue", coarse: true,
		actors: []role{{"committer", committer}, {"impatient 1", impatient}, {"impatient 2", impatient}, {"abandoner", abandoner}}},
	{name: "two upgrades", coarse: true, setup: commits(1),
		actors: []role{{"upgrade 1", upgrader}, {"upgrade 2", upgrader}}},
	{name: "queue of upgrades", coarse: true, long: true,
		actors: []role{{"committer", committer}, {"impatient upgrade", impatientUpgrade}, {"impatient", impatient}, {"upgrade", upgrader}}},
	{name: "upgrade, TRUNCATE", coarse: true, long: true, setup: commits(1), actors: []role{{"upgrade", upgrader}, {"TRUNCATE", truncator}}},
	{name: "upgrade, FULL", coarse: true, setup: commits(1), actors: []role{{"upgrade", upgrader}, {"FULL", full}}},
	{name: "upgrade, writer, FULL", coarse: true, setup: commits(1),
		actors: []role{{"upgrade", upgrader}, {"committer", committer}, {"FULL", full}}},
}
