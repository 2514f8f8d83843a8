package file

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"collector/pkg/logs/source/positions"
)

// maxSearched bounds how many files of a folder are compared in the search for
// one that was rotated away.
const maxSearched = 1000

// maxDone is of how many files that were rotated away a tail remembers the end.
const maxDone = 4

// pastMark is the position of a file that a tail has read, or has read to its end.
type pastMark struct {
	key string // of the tail
	mark
}

// resume sets the position in the file p, which the path of t has been found to
// lead to, and opens what was rotated away and not read to its end.
func (r *reader) resume(ctx context.Context, t *tail, p *part) error {
	first := !t.started
	t.started = true
	var marks []mark
	if first {
		marks = r.marksOf(t)
		t.stored = marks
	}
	if slices.ContainsFunc(marks, func(m mark) bool { return !m.Done }) {
		return r.restore(ctx, t, p, marks)
	}
	t.done = marks
	if ok, err := r.adopt(ctx, t, p); ok || !first || err != nil {
		return err
	}
	if _, known := r.source.store.Get(t.key); known {
		return nil // read to its end, and removed
	}
	switch lost := r.source.store.Lost() || r.importErr != nil; {
	case lost && r.source.cfg.OnPositionsFileError == onErrorEnd, !lost && r.source.cfg.TailFromEnd:
		p.seekEnd()
	}
	return nil
}

// marksOf returns the stored position of t or, if its labels have been changed,
// the one under the old labels.
func (r *reader) marksOf(t *tail) []mark {
	store := r.source.store
	value, ok := store.Get(t.key)
	if !ok {
		for _, key := range r.stored[t.path] {
			if _, labels := splitKey(key); r.source.has(key) && labels != positions.NoLabels {
				continue
			}
			if value, ok = store.Get(key); ok {
				if !r.source.has(key) {
					r.orphans = append(r.orphans, key)
				}
				break
			}
		}
	}
	marks, err := decodeMarks(value)
	if !ok || err != nil {
		return nil
	}
	return marks
}

// restore sets the position in p by marks, and opens the files that are rotated
// away.
func (r *reader) restore(ctx context.Context, t *tail, p *part, marks []mark) error {
	found := false
	var missing *mark // the newest that is no longer there
	for i, m := range marks {
		switch {
		case m.Done:
			t.done = append(t.done, m)
		case m.imported():
			if m.Offset <= p.size() {
				p.seek(p.aligned(m.Offset))
			}
			found = true
		case m.fileID == p.id && p.matches(m):
			p.resume(r.farthest(t, p, m))
			found = true
		default:
			if !r.reopen(t, p, m) {
				missing = &marks[i]
			}
		}
	}
	t.done = t.done[max(0, len(t.done)-maxDone):]
	if missing == nil {
		return nil
	}
	if found {
		r.source.opts.Logger.Warn("a rotated or removed file no longer exists: what was written to it since the last read is lost",
			"path", t.path, "read", missing.Offset)
		r.source.metrics.lostFiles.Inc()
		return nil
	}
	if ok, err := r.adopt(ctx, t, p); ok || err != nil {
		return err
	}
	if missing.Offset > 0 && p.matches(*missing) {
		p.resume(*missing) // it was copied or moved here
		return nil
	}
	r.source.opts.Logger.Warn("the file that was read last no longer exists: what was written to it since then is lost, and the new one is read from its beginning",
		"path", t.path, "read", missing.Offset)
	r.source.metrics.lostFiles.Inc()
	return nil
}

// reopen looks for the file of a mark beside the path and, if it is there, makes it
// a part of t. It may have been renamed, or copied before it was truncated.
func (r *reader) reopen(t *tail, p *part, m mark) bool {
	q := r.linked(t, m)
	if q == nil {
		q = r.search(t, func(info os.FileInfo) bool { return identify(info) == m.fileID }, m)
	}
	if q == nil && m.fileID == p.id && (m.LastLen > 0 || m.HeadLen >= lastSize) {
		q = r.search(t, func(info os.FileInfo) bool { return identify(info) != p.id && info.Size() >= m.Offset }, m)
	}
	if q == nil {
		return false
	}
	q.resume(m)
	q.rotated, q.grown = true, time.Now()
	r.addPart(t, q)
	return true
}

// linked opens the file of a mark to which a link led, which leads elsewhere now.
func (r *reader) linked(t *tail, m mark) *part {
	if m.Real == "" {
		return nil
	}
	p, err := openPart(t, m.Real, r.source.text)
	if err != nil {
		return nil
	}
	if p.id != m.fileID || !p.matches(m) {
		p.close()
		return nil
	}
	p.real = m.Real
	return p
}

// search opens the first file in the folder of t's that may be the one of m by
// what is known of it, and is so by its contents.
func (r *reader) search(t *tail, may func(os.FileInfo) bool, m mark) *part {
	path, err := filepath.EvalSymlinks(t.path)
	if err != nil {
		path = t.path
	}
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	stem := stemOf(filepath.Base(path))
	left := maxSearched
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), stem) {
			continue
		}
		info, err := e.Info()
		if err != nil || !may(info) {
			continue
		}
		if left--; left < 0 {
			return nil
		}
		p, err := openPart(t, filepath.Join(dir, e.Name()), r.source.text)
		if err != nil {
			continue
		}
		if p.matches(m) {
			return p
		}
		p.close()
	}
	return nil
}

// stemOf is what the names of rotated files have in common: "app" of "app.log",
// which becomes "app.log.1", "app-20260101.log" …
func stemOf(name string) string {
	if stem, _, _ := strings.Cut(name, "."); stem != "" {
		return stem
	}
	return name
}

// adopt adopts the position of another tail, or a stored one, if it is of the
// same file under its former name, so that what was read as app.log isn't read
// again as app.log.1. Names that lead to one file at the same time are read each. It
// fails only when ctx ends.
func (r *reader) adopt(ctx context.Context, t *tail, p *part) (bool, error) {
	if q := r.opened(t, p); q != nil {
		// Lines that must be sent again have the other tail's labels.
		if q.sending != nil {
			if err := r.deliver(ctx); err != nil {
				return false, err
			}
		}
		p.seek(q.offset)
		p.lines, p.again, p.adopted = q.lines, q.again, true
		r.dropPart(q.tail, slices.Index(q.tail.parts, q))
		return true, nil
	}
	return r.adoptStored(t, p), nil
}

// opened is the part of another tail that reads the file p, and whose path no longer
// leads to it or is no target any more; nil: none.
func (r *reader) opened(t *tail, p *part) *part {
	for _, q := range r.byID[p.id] {
		other := q.tail
		if other != t && other.base == t.base && p.matches(q.known()) && (r.hasLeft(other) || look(other.path).id != p.id) {
			return q
		}
	}
	return nil
}

// adoptStored is adopt for what has been read by a tail that doesn't read it now.
func (r *reader) adoptStored(t *tail, p *part) bool {
	// Several tails may have read the file in turn. The marks that the file still matches
	// are valid, and the farthest of these is the last.
	var last *pastMark
	for _, m := range r.past[p.id] {
		path, base := splitKey(m.key)
		if base != t.base || m.key == t.key || last != nil && m.Offset <= last.Offset || !p.matches(m.mark) ||
			r.source.has(m.key) && look(path).id == p.id {
			continue
		}
		last = &m
	}
	if last == nil {
		return false
	}
	p.resume(last.mark)
	p.lines = last.Lines
	if path, _ := splitKey(last.key); look(path).id != p.id && !r.startedTail(last.key) {
		r.finishStored(last.key, p.id)
	}
	return true
}

// farthest is m or, if p has been read farther by another path since, which is no target
// now, the mark of that.
func (r *reader) farthest(t *tail, p *part, m mark) mark {
	for _, other := range r.past[p.id] {
		_, base := splitKey(other.key)
		if base == t.base && other.key != t.key && other.Offset > m.Offset && !r.source.has(other.key) && p.matches(other.mark) {
			m = other.mark
		}
	}
	return m
}

// remember keeps the position of a file that a tail has read to its end, for it may
// become a target under another name.
func (r *reader) remember(t *tail, m mark) {
	m.Done, m.Sent = true, ""
	if len(t.done) == maxDone {
		r.past[t.done[0].fileID] = slices.DeleteFunc(r.past[t.done[0].fileID], func(p pastMark) bool {
			return p.key == t.key && p.mark == t.done[0]
		})
		if len(r.past[t.done[0].fileID]) == 0 {
			delete(r.past, t.done[0].fileID)
		}
		t.done = append(t.done[:0], t.done[1:]...)
	}
	t.done = append(t.done, m)
	r.past[m.fileID] = append(r.past[m.fileID], pastMark{t.key, m})
}

// forget removes what is known of files under keys whose positions are no more.
func (r *reader) forget(keys []string) {
	if len(keys) == 0 {
		return
	}
	gone := make(map[string]bool, len(keys))
	for _, key := range keys {
		gone[key] = true
		path, _ := splitKey(key)
		delete(r.stored, path)
	}
	for id, marks := range r.past {
		if r.past[id] = slices.DeleteFunc(marks, func(m pastMark) bool { return gone[m.key] }); len(r.past[id]) == 0 {
			delete(r.past, id)
		}
	}
}

// finishStored records in a stored position that a file is read by another tail.
func (r *reader) finishStored(key string, id fileID) {
	value, _ := r.source.store.Get(key)
	marks, err := decodeMarks(value)
	if err != nil {
		return
	}
	for i := range marks {
		if marks[i].fileID == id {
			marks[i].Done = true
		}
	}
	r.source.store.Put(map[string]string{key: encodeMarks(marks)})
}

// startedTail reports whether the position of a key belongs to a tail, which has
// looked it up.
func (r *reader) startedTail(key string) bool {
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	t := r.source.tails[key]
	return t != nil && t.started
}

// truncated handles a file that no longer holds what was read of it. If it was copied
// before, the rest is in the copy.
func (r *reader) truncated(t *tail, p *part) {
	i := slices.Index(t.parts, p)
	m := p.known()
	name, id, rotated := p.name, p.id, p.rotated
	r.dropPart(t, i)
	if rotated {
		return
	}
	r.source.metrics.truncations.Inc()
	if m.LastLen > 0 {
		q := r.search(t, func(info os.FileInfo) bool { return identify(info) != id && info.Size() >= m.Offset }, m)
		if q != nil {
			q.seek(m.Offset)
			q.rotated, q.grown = true, time.Now()
			q.again = p.again
			if q.sending = p.sending; q.sending != nil {
				q.sending.part = q
			}
			r.addPart(t, q)
		}
	}
	again, err := openPart(t, name, r.source.text)
	if err != nil {
		return // the next look opens it
	}
	again.real = realOf(name)
	r.addPart(t, again)
	r.follow(t, again.real)
}
