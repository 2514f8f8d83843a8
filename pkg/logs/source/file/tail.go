package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// The states of a tail, for people.
const (
	stateWaiting = "waiting"
	stateReading = "reading"
	stateMissing = "file does not exist"
	stateFailed  = "can't be read"
	stateDone    = "read to its end"
)

var errFolder = errors.New("it is a folder")

// tail follows what a path leads to, for one set of labels.
type tail struct {
	key    string // of its position
	path   string
	base   string        // the target's labels, which the key has too
	labels labels.Labels // those of the entries
	since  time.Time     // when the target came

	// Of the source, guarded by its mu:
	queued   bool // in ready
	left     bool // the target has left
	restless bool // has to be looked at again without a change of the file
	keeps    bool // has quiet files open, which have to be looked at now and then
	real     string
	seen     sight
	status   tailState

	// Of the reader:
	parts   []*part    // the current file last
	done    []mark     // of files that were rotated away and have been read to their end
	stored  []mark     // what the stored position says
	started bool       // the position has been looked up
	touched bool       // the position has changed
	sending []*sending // the lines in the batch, by file
	gone    bool       // the target has left, and everything has been read
	stream  int        // in the batch; -1: none
	failing bool       // the last look failed
	zip     zipState
}

// tailState is what a tail reports about itself.
type tailState struct {
	state       string
	open        bool
	lines       uint64
	bytes       uint64
	offset      int64
	readAt      time.Time
	partial     int64     // bytes after offset that are not a whole line
	unreadSince time.Time // zero if everything is read
	rotated     int
	size        int64
	lastError   string
	lastErrorAt time.Time
	cause, fix  string // of lastError
}

// measure records whether there is something to read; behind means that there is in any
// case.
func (t *tailState) measure(behind bool) {
	switch behind = behind || t.open && t.size > t.offset+t.partial; {
	case !behind:
		t.unreadSince = time.Time{}
	case t.unreadSince.IsZero():
		t.unreadSince = time.Now()
	}
}

// current is the file to which the path leads as far as is known; nil: none.
func (t *tail) current() *part {
	if n := len(t.parts); n > 0 && !t.parts[n-1].rotated {
		return t.parts[n-1]
	}
	return nil
}

// marks describe the parts for a position.
func (t *tail) marks() []mark {
	out := append(make([]mark, 0, len(t.done)+len(t.parts)), t.done...)
	for _, p := range t.parts {
		out = append(out, p.mark())
	}
	return out
}

// sent records that the lines in the batch have been delivered.
func (t *tail) sent() {
	for _, s := range t.sending {
		s.part.sending = nil
	}
	t.sending = nil
}

// sendingMarks describe the parts for a position from which all is read again that is
// in the batch, also from files that have been closed.
func (t *tail) sendingMarks() []mark {
	if len(t.sending) == 0 {
		return t.marks()
	}
	out := slices.DeleteFunc(slices.Clone(t.done), func(m mark) bool {
		return slices.ContainsFunc(t.sending, func(s *sending) bool { return s.base.fileID == m.fileID })
	})
	for _, s := range t.sending {
		if !slices.Contains(t.parts, s.part) {
			out = append(out, s.stored())
		}
	}
	for _, p := range t.parts {
		if p.sending != nil {
			out = append(out, p.sending.stored())
		} else {
			out = append(out, p.mark())
		}
	}
	return out
}

// check looks at what the path leads to, and opens that if it is another file. It fails
// only when ctx ends.
func (r *reader) check(ctx context.Context, t *tail) error {
	info, err := os.Stat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.rotate(t)
		r.setState(t, stateMissing, nil)
		return nil
	case err != nil:
		r.setState(t, stateFailed, err)
		return nil
	case info.IsDir():
		r.setState(t, stateFailed, errFolder)
		return nil
	}
	r.see(t, sightOf(info))
	cur := t.current()
	if cur != nil && cur.id == identify(info) {
		if t.failing {
			r.setState(t, stateReading, nil)
		}
		return nil
	}
	if r.back(t, identify(info)) {
		r.setState(t, stateReading, nil)
		return nil
	}
	if r.hasLeft(t) {
		r.rotate(t) // what replaces it is no target
		return nil
	}
	p, err := openPart(t, t.path, r.source.text)
	if err != nil {
		r.setState(t, stateFailed, err)
		return nil
	}
	if cur != nil && cur.id == p.id {
		p.close() // it was back
		return nil
	}
	p.real = realOf(t.path)
	r.rotate(t)
	if err := r.resume(ctx, t, p); err != nil {
		p.close()
		return err
	}
	r.addPart(t, p)
	r.announce(t, p)
	r.touch(t)
	r.follow(t, p.real)
	r.setState(t, stateReading, nil)
	return nil
}

// realOf is where a path leads that is a link, or has one in it; empty if it doesn't.
func realOf(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil || real == filepath.Clean(path) {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil && abs == real {
		return ""
	}
	return real
}

// announce stores that p is read from now on, before its first line is delivered: a
// process that dies right after that, and comes back when the file has been renamed, has
// to look for the rest. It says nothing about what is in the batch.
func (r *reader) announce(t *tail, p *part) {
	if p.adopted || slices.ContainsFunc(t.stored, func(m mark) bool { return m.fileID == p.id }) {
		return
	}
	t.stored = append(slices.Clone(t.stored), p.mark())
	r.source.store.Put(map[string]string{t.key: encodeMarks(t.stored)})
}

// hasLeft reports whether the target of t is no longer there.
func (r *reader) hasLeft(t *tail) bool {
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	return t.left
}

// rotate records that the path no longer leads to the current file.
func (r *reader) rotate(t *tail) {
	if cur := t.current(); cur != nil {
		cur.rotated, cur.grown = true, time.Now()
	}
}

// follow has changes of the file reported to which links lead; empty: there are none.
func (r *reader) follow(t *tail, real string) {
	s := r.source
	s.mu.Lock()
	defer s.mu.Unlock()
	if real == t.real {
		return
	}
	if t.real != "" {
		s.unindex(t, t.real)
	}
	if t.real = real; real != "" {
		s.index(t, real)
	}
}

// addPart makes p the current file of t.
func (r *reader) addPart(t *tail, p *part) {
	p.tail = t
	t.parts = append(t.parts, p)
	r.byID[p.id] = append(r.byID[p.id], p)
}

// dropPart forgets the part number i of t.
func (r *reader) dropPart(t *tail, i int) {
	r.touch(t)
	r.closePart(t, i)
}

// closePart closes the part number i of t.
func (r *reader) closePart(t *tail, i int) {
	p := t.parts[i]
	p.close()
	delete(r.kept, p)
	t.parts = append(t.parts[:i], t.parts[i+1:]...)
	left := r.byID[p.id][:0]
	for _, other := range r.byID[p.id] {
		if other != p {
			left = append(left, other)
		}
	}
	if r.byID[p.id] = left; len(left) == 0 {
		delete(r.byID, p.id)
	}
}

func (r *reader) see(t *tail, s sight) {
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	t.seen = s
	t.status.size = s.size
	if !r.source.cfg.compressed() {
		t.status.measure(false)
	}
}

// setState keeps the state and the error for people; nil clears it.
func (r *reader) setState(t *tail, state string, err error) {
	s := r.source
	cause, fix := explain(t.path, err)
	s.mu.Lock()
	t.status.state, t.status.open = state, len(t.parts) > 0
	if err == nil {
		t.status.lastError, t.status.lastErrorAt, t.status.cause, t.status.fix = "", time.Time{}, "", ""
	} else {
		t.status.lastError, t.status.lastErrorAt, t.status.cause, t.status.fix = err.Error(), time.Now(), cause, fix
		t.seen = sight{} // to be retried
	}
	s.mu.Unlock()
	if err != nil {
		s.metrics.readErrors.Inc()
		s.quiet.Warn(s.opts.Logger, t.path, "cannot read a file; retrying; the others continue", "path", t.path, "err", err)
	}
	t.failing = err != nil
}
