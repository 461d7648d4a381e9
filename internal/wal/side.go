// The side index: pages of the database file as they were before a checkpoint
// overwrote them or cut them off, for the readers that are detached (DESIGN
// section 5).
//
// An image is kept under its page and the version of the database file that it
// belongs to. A detached reader reads the database file of one version: of each
// page it takes the earliest image of that version or a later one, and if there
// is none, the page has not changed since and is read from the file.
//
// The images are in an unlinked temporary file beside the database: a crash at
// any moment leaves nothing of it, and nothing needs it. It is never synced.
//
// Invariants:
//
//  1. All images of a batch are in the index before its first page is written
//     to the database file, nothing is cut off before its images are there.
//  2. A page is saved once for each version that somebody may need it in. What
//     was saved since nBackfill was last published is not saved again: a batch
//     that failed has overwritten it, maybe.
//  3. An image stays as long as a reader may need it; its place in the file is
//     used again only then.

package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// SideSuffix is added to the database's name for the temporary file, for the
// moment between its creation and its unlinking.
const SideSuffix = "-walnut-side"

// errSideFull says that the images of a batch do not fit.
var errSideFull = errors.New("the side file is full")

// image is a page in one version of the database file.
type image struct {
	version coord.FileVersion
	place   uint32 // in the side file, in pages
	sum     walformat.Checksum
}

type sideIndex struct {
	// mu guards all below. It is a leaf, but for the mutexes of the registry of
	// readers, and held over no IO.
	mu   sync.RWMutex
	file disk.File // nil while there are no images
	// images by page, in order of their versions; n counts them.
	images map[walformat.PageNo][]image
	n      int
	// The file has places; those in free are not used.
	places uint32
	free   []uint32
	// saving: a batch is being saved, which keeps the file open; putOff: meanwhile
	// somebody wanted to prune.
	saving, putOff bool
}

// sideStats is the state of the side index.
type sideStats struct{ images, bytes int64 }

func (s *sideIndex) stats(pageSize int) sideStats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return sideStats{images: int64(s.n), bytes: int64(s.places) * int64(pageSize)}
}

// find returns the earliest image of page n in version v or later, and the file
// that it is in.
func (s *sideIndex) find(v coord.FileVersion, n walformat.PageNo) (image, disk.File, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, i := range s.images[n] {
		if i.version >= v {
			return i, s.file, true
		}
	}
	return image{}, nil, false
}

// read fills dst with page n as it was in version v, if it was saved.
func (s *sideIndex) read(v coord.FileVersion, n walformat.PageNo, dst []byte) (bool, error) {
	i, f, ok := s.find(v, n)
	if !ok {
		return false, nil
	}
	off := int64(i.place) * int64(len(dst))
	if _, err := f.ReadAt(dst, off); err != nil {
		return true, fmt.Errorf("read page %d, saved at offset %d of the side file %s: %w", n, off, f.Name(), err)
	}
	if sum := walformat.NativeOrder.Sum(walformat.Checksum{}, dst); sum != i.sum {
		return true, fmt.Errorf("%w: page %d, saved at offset %d of the side file %s, is not what was written", ErrCorrupt, n, off, f.Name())
	}
	return true, nil
}

// ReadDetached fills dst with page n for a reader that is detached and reads
// version v of the database file. A checkpoint that overwrites the page while it
// is read from there has saved it before.
func (l *Log) ReadDetached(v coord.FileVersion, n walformat.PageNo, dst []byte) error {
	if ok, err := l.side.read(v, n, dst); ok || err != nil {
		return err
	}
	derr := l.readDB(n, dst)
	if ok, err := l.side.read(v, n, dst); ok || err != nil {
		return err
	}
	return derr
}

// needed lists the pages that must be saved for readers before they are written
// or cut off: those up to the largest of their databases that have no image in a
// version that all of them find. list is in order.
func (s *sideIndex) needed(readers []coord.DetachedReader, list []walformat.PageNo) []walformat.PageNo {
	var newest coord.FileVersion
	var last walformat.PageNo
	for _, r := range readers {
		newest, last = max(newest, r.File), max(last, r.Pages)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	need := list[:0]
	for _, n := range list {
		if n > last {
			break
		}
		if im := s.images[n]; len(im) == 0 || im[len(im)-1].version < newest {
			need = append(need, n)
		}
	}
	return need
}

// saveForDetached saves what a checkpoint is about to overwrite (todo, by page)
// and to cut off (the pages above keep), if readers are detached. The set of
// them does not grow while the checkpoint lock is held, which is REQUIRED, and
// it is asked for after the safe frame was computed.
func (l *Log) saveForDetached(todo []pageFrame, keep uint32) error {
	readers := l.co.Detached()
	if len(readers) == 0 {
		return nil
	}
	list := make([]walformat.PageNo, 0, len(todo))
	for _, p := range todo {
		list = append(list, p.page())
	}
	size, err := l.cfg.DB.Size()
	if err != nil {
		return err
	}
	ps := int64(l.PageSize())
	lock := walformat.LockBytePage(int(ps))
	for n := int64(keep) + 1; n <= (size+ps-1)/ps; n++ {
		if p := walformat.PageNo(n); p != lock {
			list = append(list, p)
		}
	}
	return l.side.save(l, readers, l.side.needed(readers, list))
}

// save reads the pages, which are in order, from the database file and enters
// them as images of its present version. It holds no lock over that.
func (s *sideIndex) save(l *Log, readers []coord.DetachedReader, pages []walformat.PageNo) error {
	if len(pages) == 0 {
		return nil
	}
	ps := l.PageSize()
	places, err := s.begin(ps, len(pages), l.sideBudget(readers))
	if err == nil {
		err = s.open(l)
	}
	if err != nil {
		s.end(l, nil, places, nil, err)
		return err
	}
	images := make([]image, len(pages))
	per := max(1, l.cfg.sizes.batch()/ps)
	buf := batchBufs.get(min(per, len(pages)) * ps)
	defer batchBufs.put(buf)
	for i := 0; i < len(pages) && err == nil; i += per {
		j := min(i+per, len(pages))
		err = s.copyBatch(l, pages[i:j], places[i:j], images[i:j], (*buf)[:(j-i)*ps])
	}
	s.end(l, pages, places, images, err)
	return err
}

// sideBudget is how many bytes the side file may have. Without a limit that is one
// image of each page for each reader: with less, readers on several snapshots
// could fill it, and the log would grow without bound.
func (l *Log) sideBudget(readers []coord.DetachedReader) int64 {
	if b := l.limits.Load().SideBytes; b > 0 {
		return b
	}
	var all int64
	for _, r := range readers {
		all += int64(r.Pages)
	}
	return all * int64(l.PageSize())
}

// begin takes n places in the file, which stays from now on until end.
func (s *sideIndex) begin(pageSize, n int, budget int64) ([]uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saving = true
	// Places that are free are used again, so the file is never longer than what
	// was allowed at some time.
	if all := int64(s.places) - int64(len(s.free)) + int64(n); all*int64(pageSize) > budget {
		return nil, fmt.Errorf("%w: %d pages of %d bytes do not fit into %d bytes", errSideFull, all, pageSize, budget)
	}
	places := make([]uint32, 0, n)
	k := min(n, len(s.free))
	places = append(places, s.free[len(s.free)-k:]...)
	s.free = s.free[:len(s.free)-k]
	slices.Sort(places)
	for len(places) < n {
		places = append(places, s.places)
		s.places++
	}
	return places, nil
}

// open opens the file, if it is not. Between begin and end nobody closes it.
func (s *sideIndex) open(l *Log) error {
	s.mu.Lock()
	have := s.file != nil
	s.mu.Unlock()
	if have {
		return nil
	}
	f, err := openSide(l.cfg.FS, l.cfg.DB)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.images = f, make(map[walformat.PageNo][]image)
	return nil
}

// openSide creates the file and takes its name from it. What lies there is of a
// process that died in between, or a link to somebody else's file: the name is
// taken away, and the file is not opened.
func openSide(fsys disk.FS, db disk.File) (disk.File, error) {
	name := db.Name() + SideSuffix
	f, err := disk.OpenBeside(fsys, name, disk.Create|disk.Exclusive, db)
	if errors.Is(err, fs.ErrExist) {
		if err = fsys.Remove(name); err == nil {
			f, err = disk.OpenBeside(fsys, name, disk.Create|disk.Exclusive, db)
		}
	}
	if err == nil {
		if err = fsys.Remove(name); err != nil {
			_ = f.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("create the side file: %w", err)
	}
	return f, nil
}

// copyBatch copies pages into their places by way of buf, with as few reads and
// writes as their neighbourhoods allow.
func (s *sideIndex) copyBatch(l *Log, pages []walformat.PageNo, places []uint32, images []image, buf []byte) error {
	ps := len(buf) / len(pages)
	for i, n := 0, 0; i < len(pages); i += n {
		for n = 1; i+n < len(pages) && pages[i+n] == pages[i]+walformat.PageNo(n); n++ {
		}
		part, off := buf[i*ps:(i+n)*ps], int64(pages[i]-1)*int64(ps)
		k, err := l.cfg.DB.ReadAt(part, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read pages %d to %d of %s, to save them: %w", pages[i], pages[i+n-1], l.cfg.DB.Name(), err)
		}
		clear(part[k:])
	}
	for i := range images {
		images[i] = image{version: l.fileVersion, place: places[i],
			sum: walformat.NativeOrder.Sum(walformat.Checksum{}, buf[i*ps:(i+1)*ps])}
	}
	for i, n := 0, 0; i < len(places); i += n {
		for n = 1; i+n < len(places) && places[i+n] == places[i]+uint32(n); n++ {
		}
		if _, err := s.file.WriteVAt([][]byte{buf[i*ps : (i+n)*ps]}, int64(places[i])*int64(ps)); err != nil {
			return fmt.Errorf("write to the side file of %s: %w", l.cfg.DB.Name(), err)
		}
	}
	return nil
}

// end enters the images, or gives their places back.
func (s *sideIndex) end(l *Log, pages []walformat.PageNo, places []uint32, images []image, err error) {
	s.mu.Lock()
	s.saving = false
	prune := s.putOff || err != nil
	s.putOff = false
	if err == nil {
		for i, n := range pages {
			s.images[n] = append(s.images[n], images[i])
		}
		s.n += len(pages)
	} else {
		s.free = append(s.free, places...)
	}
	s.mu.Unlock()
	if prune {
		s.prune(l)
	}
}

// prune forgets the images that no detached reader needs, and closes the file
// when there is none. It is called when a detached reader has gone.
func (s *sideIndex) prune(l *Log) {
	s.mu.Lock()
	var done disk.File
	if s.saving {
		s.putOff = true
	} else {
		done = s.pruneLocked(l.co.Detached())
	}
	s.mu.Unlock()
	if done != nil {
		_ = done.Close() // it has no name and nobody's data
	}
}

// pruneLocked is prune for those readers; it returns the file if there are none.
// REQUIRES mu.
func (s *sideIndex) pruneLocked(readers []coord.DetachedReader) (done disk.File) {
	if len(readers) == 0 {
		done = s.file
		s.file, s.images, s.n, s.places, s.free = nil, nil, 0, 0, nil
		return done
	}
	versions := make([]coord.FileVersion, 0, len(readers))
	for _, r := range readers {
		versions = append(versions, r.File)
	}
	slices.Sort(versions)
	for n, list := range s.images {
		kept := list[:0]
		var from coord.FileVersion // readers of versions below have found theirs
		for _, i := range list {
			if k, _ := slices.BinarySearch(versions, from); k < len(versions) && versions[k] <= i.version {
				kept = append(kept, i)
				from = i.version + 1
				continue
			}
			s.free = append(s.free, i.place)
			s.n--
		}
		if len(kept) == 0 {
			delete(s.images, n)
		} else {
			s.images[n] = kept
		}
	}
	slices.Sort(s.free) // not as the map has it: runs are to repeat exactly
	return nil
}
