package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"collector/pkg/logs/source/journal/journalfile"
)

type inode struct{ dev, inode uint64 }

// file is a journal file.
type file struct {
	folder *folder
	name   string
	key    inode
	id     journalfile.ID
	hex    string   // the same as text
	src    *os.File // nil when it has been read to its end, and nothing can follow
	j      *journalfile.File
	mark   mark

	gone    bool // it has no name any more
	touched bool // its position has changed
	active  bool // there may be entries to read
	idle    bool // none have been read since the last look
	next    journalfile.Entry
	ready   bool      // next is there
	failing time.Time // since when it can't be read
	damaged bool      // damage was found, and counted
}

func (f *file) path() string { return filepath.Join(f.folder.path, f.name) }

var errCopy = errors.New("it is a copy of")

// openFile opens a file that is not known yet.
func (r *reader) openFile(f *folder, name string) error {
	// Opening a pipe would wait for a writer.
	src, err := os.OpenFile(filepath.Join(f.path, name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	info, err := src.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	var j *journalfile.File
	if err == nil {
		j, err = journalfile.New(src, func() (int64, error) { return sizeOf(src) }, &r.decoder)
	}
	if err != nil {
		_ = src.Close()
		return err
	}
	seen := sightOf(info)
	h := j.Header()
	if known := r.files[h.FileID]; known != nil {
		if known.src != nil && !known.gone {
			_ = src.Close()
			return fmt.Errorf("%w %s, which is read", errCopy, known.path())
		}
		r.drop(known)
	}
	out := &file{folder: f, name: name, key: inode{seen.dev, seen.inode}, id: h.FileID, hex: h.FileID.String(), src: src, j: j, active: true}
	r.files[out.id], r.byInode[out.key] = out, out
	if m := r.marks[out.id]; m != nil && m.Done {
		out.mark = *m
		r.closeFile(out)
		return nil
	}
	r.begin(out)
	out.mark.Root, out.mark.Folder = f.root.path, f.name
	if f.root.volatile {
		out.mark.Volatile = true
		if e, err := j.Head(); err == nil && out.mark.Boot == "" {
			out.mark.Boot, out.mark.First = e.Boot.String(), e.Monotonic
		}
	}
	r.count()
	return nil
}

func sizeOf(src *os.File) (int64, error) {
	info, err := src.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// closeFile ends the reading of a file.
func (r *reader) closeFile(f *file) {
	if f.src != nil {
		_ = f.src.Close()
	}
	f.src, f.j, f.active, f.ready = nil, nil, false, false
	r.count()
	if f.gone {
		r.forget(f)
	}
}

// drop forgets what is known of a file, but its position.
func (r *reader) drop(f *file) {
	if f.src != nil {
		_ = f.src.Close()
	}
	delete(r.files, f.id)
	if r.byInode[f.key] == f {
		delete(r.byInode, f.key)
	}
	m := f.mark
	m.missing = time.Time{}
	if m.Entries > 0 {
		r.marks[f.id] = &m
	}
	if f.touched {
		r.late[filePrefix+f.id.String()] = encode(m)
	}
}

// forget removes a file that no longer exists. Of a volatile one, journald may have
// written copies that were not read yet.
func (r *reader) forget(f *file) {
	r.drop(f)
	if f.mark.Volatile {
		return
	}
	delete(r.marks, f.id)
	r.removed = append(r.removed, filePrefix+f.id.String())
}

// refresh makes entries of a file readable that were written since.
func (r *reader) refresh(f *file) {
	if f.src == nil {
		return
	}
	if r.update(f) {
		f.active, f.idle = true, true
	}
}

// update reads the header of a file again, and reports whether reading can go on:
// removing a journal file may also remove its contents from under its readers.
func (r *reader) update(f *file) bool {
	err := f.j.Refresh()
	switch {
	case errors.Is(err, journalfile.ErrNotAJournal) || errors.Is(err, journalfile.ErrReplaced):
		r.emptied(f)
	case err != nil:
		r.fail(f, err)
	}
	return err == nil
}

// emptied ends the reading of a file whose contents were removed.
func (r *reader) emptied(f *file) {
	read := f.j.Position().Entries
	if f.ready {
		read--
	}
	if lost := f.j.Header().Entries - min(read, f.j.Header().Entries); lost > 0 {
		r.source.metrics.lostEntries.Add(float64(lost))
		r.source.lose(f.folder, lost)
		r.source.opts.Logger.Warn("a journal file was removed before it had been read to its end: its entries are lost",
			"path", f.path(), "lost", lost)
	}
	f.mark.Done, f.gone = true, true
	r.closeFile(f)
}

// fill reads the next entry of a file, if there is one.
func (r *reader) fill(f *file) {
	for !f.ready && f.active {
		e, err := f.j.Next()
		switch {
		case err == nil:
			f.next, f.ready, f.failing = e, true, time.Time{}
		case errors.Is(err, io.EOF):
			r.end(f)
		default:
			r.obstacle(f, err)
		}
	}
}

// end records that a file has been read to its current end.
func (r *reader) end(f *file) {
	f.active = false
	if p := f.j.Position(); p != f.mark.Position {
		f.mark.Position, f.touched = p, true
	}
	if f.idle {
		f.j.Release()
	}
	h := f.j.Header()
	if h.State == journalfile.Archived || strings.HasSuffix(f.name, "~") || f.gone {
		f.mark.Done, f.touched = true, true
		r.closeFile(f)
	}
}

// obstacle handles what can't be read. A file that is being written may be inconsistent
// for a moment; after some time, what can't be read is skipped.
func (r *reader) obstacle(f *file, err error) {
	if !r.update(f) {
		return
	}
	if r.waits(f, err) {
		f.active, r.retry = false, true
		return
	}
	f.failing = time.Time{}
	r.harm(f, err, f.j.Skip())
}

// waits reports whether an error may still pass.
func (r *reader) waits(f *file, err error) bool {
	if isDamage(err) && (f.j.Header().State != journalfile.Online || strings.HasSuffix(f.name, "~")) {
		return false
	}
	if f.failing.IsZero() {
		f.failing = time.Now()
	}
	return time.Since(f.failing) < r.source.patience
}

// harm counts damage.
func (r *reader) harm(f *file, err error, lost uint64) {
	s := r.source
	if !f.damaged {
		f.damaged = true
		s.metrics.damagedFiles.Inc()
	}
	s.metrics.lostEntries.Add(float64(lost))
	s.lose(f.folder, lost)
	s.fail(f.folder, f.path(), err)
	s.quiet.Warn(s.opts.Logger, f.path(), "a journal file is damaged; what can be read of it is read", "path", f.path(), "err", err, "lost", lost)
}

// fail records that a file can't be read at present; the next look retries.
func (r *reader) fail(f *file, err error) {
	s := r.source
	s.metrics.readErrors.Inc()
	s.fail(f.folder, f.path(), err)
	s.quiet.Warn(s.opts.Logger, f.path(), "cannot read a journal file; retrying; the others continue", "path", f.path(), "err", err)
	f.active, r.retry = false, true
}

func isDamage(err error) bool {
	var d *journalfile.DamageError
	return errors.As(err, &d)
}

// count updates the number of open files.
func (r *reader) count() {
	n := 0
	for _, f := range r.files {
		if f.src != nil {
			n++
		}
	}
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	r.source.open = n
}
