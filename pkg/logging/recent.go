package logging

import "slices"

const (
	// kept is how many lines are kept for a support bundle.
	kept = 1000
	// longest is what is kept of a line.
	longest = 2000
)

// recent is the last lines that were written, a ring.
type recent struct {
	lines []string
	next  int // where the next line goes, once the ring is full
}

func (r *recent) add(text string) {
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	if len(r.lines) < kept {
		r.lines = append(r.lines, text)
		return
	}
	r.lines[r.next] = text
	r.next = (r.next + 1) % kept
}

// Recent gives the last lines that were written, the oldest first.
func (l *Log) Recent() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.recent.lines[l.recent.next:], l.recent.lines[:l.recent.next])
}
