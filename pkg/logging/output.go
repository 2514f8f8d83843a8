package logging

import (
	"io"
	"sync"
	"time"
)

// maxWaiting bounds what is waiting to be written, in bytes: some thousands of lines.
const maxWaiting = 1 << 20

// Output is a writer for lines that never makes anybody wait: the log must not
// stop the parts that it reports on when nobody reads it. Lines are written in
// their order by a goroutine of its own. While more than maxWaiting bytes wait,
// and where writing fails, lines are dropped and counted; once lines can be
// written again, one says how many were lost, at the place where they were.
type Output struct {
	to io.Writer

	mu      sync.Mutex
	waiting []piece // guarded by mu, as is all below
	bytes   int     // of waiting
	busy    bool    // the goroutine is writing
	lost    int     // lines since the last in waiting, or since the last notice
	dropped uint64  // lines, ever
	notice  func(lost int) []byte
	done    chan struct{} // closed when nothing waits any more; nil if nobody asked
}

// piece is a line, and how many were lost before it.
type piece struct {
	text []byte
	lost int
}

// NewOutput makes an Output that writes to to.
func NewOutput(to io.Writer) *Output { return &Output{to: to, notice: func(int) []byte { return nil }} }

// Write takes a line. It never fails and never waits.
func (o *Output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bytes+len(line) > maxWaiting {
		o.lost++
		o.dropped++
		return len(line), nil
	}
	o.waiting = append(o.waiting, piece{append([]byte(nil), line...), o.lost})
	o.bytes += len(line)
	o.lost = 0
	if !o.busy {
		o.busy = true
		go o.drain()
	}
	return len(line), nil
}

// drain writes what is waiting until nothing does.
func (o *Output) drain() {
	unsaid := 0 // lines lost before the next one that no notice has reported
	for {
		p, notice, more := o.next(&unsaid)
		if !more {
			return
		}
		if unsaid > 0 {
			if _, err := o.to.Write(notice(unsaid)); err == nil {
				unsaid = 0
			}
		}
		if p.text == nil {
			continue
		}
		if _, err := o.to.Write(p.text); err != nil {
			unsaid++
			o.mu.Lock()
			o.dropped++
			o.mu.Unlock()
		}
	}
}

// next takes the next line to write and adds to unsaid what was lost before it. The last
// piece has no text, only what was lost after all lines. It reports false when there is
// nothing more to do.
func (o *Output) next(unsaid *int) (p piece, notice func(int) []byte, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.waiting) > 0:
		p = o.waiting[0]
		o.waiting[0] = piece{}
		o.waiting = o.waiting[1:]
		o.bytes -= len(p.text)
		*unsaid += p.lost
	case o.lost > 0:
		*unsaid += o.lost
		o.lost = 0
	default:
		o.lost, o.waiting, o.busy = *unsaid, nil, false
		if o.done != nil {
			close(o.done)
			o.done = nil
		}
		return p, nil, false
	}
	return p, o.notice, true
}

// Flush waits until all lines are written, but for no longer than limit, and
// reports whether they are.
func (o *Output) Flush(limit time.Duration) bool {
	o.mu.Lock()
	if !o.busy {
		o.mu.Unlock()
		return true
	}
	if o.done == nil {
		o.done = make(chan struct{})
	}
	done := o.done
	o.mu.Unlock()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}

// Dropped is how many lines were lost, ever.
func (o *Output) Dropped() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

// describe sets the function that makes the line with the number of lost lines.
func (o *Output) describe(notice func(lost int) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notice = notice
}
