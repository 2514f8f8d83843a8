package journal

import (
	"path/filepath"
	"time"

	"collector/pkg/logs/source/journal/journalfile"
)

// Where journald begins in memory, it copies the entries to disk when it can, into
// a file of its own, with other numbers. Boot and monotonic time stay: as it writes to one
// place at a time, an entry on disk that lies between the first and last of a file in
// memory is a copy.

// span is what a file in memory holds, as far as it has been read or is going to be.
type span struct {
	folder      string
	boot        journalfile.ID
	first, last uint64
}

// remember extends what is known of a file in memory.
func (m *mark) remember(e journalfile.Entry) {
	if m.Boot == "" {
		m.Boot, m.First = e.Boot.String(), e.Monotonic
	}
	m.Last = e.Monotonic
}

// spans lists what is in memory, and what was.
func (r *reader) spans() (out []span) {
	add := func(m *mark, last uint64) {
		if boot, err := journalfile.ParseID(m.Boot); m.Volatile && err == nil {
			out = append(out, span{folder: m.Folder, boot: boot, first: m.First, last: last})
		}
	}
	for _, m := range r.marks {
		add(m, m.Last)
	}
	for _, f := range r.files {
		last := f.mark.Last
		if f.src != nil {
			last = max(last, f.j.Header().TailMonotonic)
		}
		add(&f.mark, last)
	}
	return out
}

// copied reports whether an entry is a copy of one in memory.
func (r *reader) copied(f *file, e journalfile.Entry) bool {
	if f.folder.root.volatile {
		return false
	}
	for _, s := range r.memory {
		if s.boot == e.Boot && s.first <= e.Monotonic && e.Monotonic <= s.last && s.folder == f.folder.name {
			r.source.metrics.copies.Inc()
			return true
		}
	}
	return false
}

// forgetMissing removes the positions of files that were removed while nobody
// watched.
func (r *reader) forgetMissing() {
	s := r.source
	for id, m := range r.marks {
		if r.files[id] != nil {
			continue
		}
		if m.Volatile {
			if time.Since(time.UnixMicro(int64(m.Time))) > keepVolatile {
				r.forgetMark(id)
			}
			continue
		}
		if !r.absent(m) {
			continue
		}
		r.forgetMark(id)
		if m.Done {
			continue
		}
		s.metrics.lostFiles.Inc()
		s.opts.Logger.Warn("a journal file that was being read no longer exists: what was written to it since then is lost",
			"folder", m.Folder, "file_id", id.String(), "entries_read", m.Entries)
	}
}

// expire removes the positions of files in memory that were removed and can't have any
// more copies.
func (r *reader) expire(now time.Time) {
	for id, m := range r.marks {
		switch {
		case !m.Volatile || r.files[id] != nil:
		case m.missing.IsZero():
			m.missing = now
		case now.Sub(m.missing) > keepVolatile:
			r.forgetMark(id)
		}
	}
}

func (r *reader) forgetMark(id journalfile.ID) {
	delete(r.marks, id)
	r.removed = append(r.removed, filePrefix+id.String())
}

// absent reports whether the file of a mark would be known if it were there. What
// is at a path that is no longer configured, or can't be read, may still be there.
func (r *reader) absent(m *mark) bool {
	root := r.folders[m.Root]
	if root == nil || !root.known {
		return false
	}
	f := r.folders[filepath.Join(m.Root, m.Folder)]
	return f == nil || f.known
}
