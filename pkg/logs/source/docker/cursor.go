package docker

import (
	"time"

	"collector/pkg/logs/source/lines"
)

// interleave is how much older than a line that was read before a line may claim
// to be: goroutines of the daemon take the time first and write the line
// afterwards, and an old Engine omits what is older than asked.
const interleave = 5 * time.Second

// position is how far one output stream has been read.
type position struct {
	Time  int64 // the newest timestamp read, in nanoseconds; 0 for nothing
	Lines int64 // lines read from the first one at Time on
	Out   int64 // the newest timestamp given to an entry
}

// cursor is how far a container's output has been read.
type cursor [streamCount]position

// cursorAt is the cursor for a container of which everything before the time
// has been read, and perhaps more.
func cursorAt(ns int64) cursor {
	return cursor{{Time: ns}, {Time: ns}}
}

// newest is the newest timestamp read on any stream.
func (c *cursor) newest() int64 { return max(c[stdout].Time, c[stderr].Time) }

// since is the time from which the Engine has to be asked to lose nothing. It
// is zero for a container that is read from its beginning.
func (c *cursor) since() time.Time {
	newest := c.newest()
	switch {
	case newest == 0:
		return time.Time{}
	case c.completed():
		return time.Unix(0, newest)
	}
	return time.Unix(0, newest-int64(interleave))
}

// completed reports whether nothing older than the newest line can come any more. That
// the streams were read up to the same time may also be chance: complete and other
// functions that set a position leave no line at it.
func (c *cursor) completed() bool {
	return c[stdout].Time == c[stderr].Time && (c[stdout].Lines == 0 || c[stderr].Lines == 0)
}

// findable reports whether reading can resume from any place before the cursor, not only
// from the first line at its time: no lines have to be counted.
func (c *cursor) findable() bool {
	return c.newest() != 0 && c[stdout].Lines <= 1 && c[stderr].Lines <= 1
}

// complete records that both streams have been read to the end, so that the next read
// starts after the newest line of either.
func (c *cursor) complete() {
	newest := c.newest()
	for i := range c {
		if c[i].Time < newest {
			c[i].Time, c[i].Lines = newest, 0
		}
	}
}

// advance records that a line has been read. A clock that was set back does
// not move the position back: its lines count as lines after Time.
func (p *position) advance(ns int64) {
	if ns > p.Time {
		p.Time, p.Lines = ns, 1
		return
	}
	p.Lines++
}

// output is the timestamp of the entry for a line that Docker stamped ns:
// ns itself unless an entry of the stream has it already. Entries of one
// stream never have equal timestamps, so that stores which sort by time keep
// their order. The result depends on p alone: a line that is read again after
// a crash gets the same timestamp again.
func (p *position) output(ns int64) int64 {
	p.Out = lines.Time(p.Out, ns)
	return p.Out
}

// resume skips the lines at the start of a connection that were read already.
type resume struct {
	from    position
	left    int64 // lines still to be skipped once the first one at from.Time has been read
	started bool
	over    bool
}

func resumeFrom(p position) resume { return resume{from: p, left: p.Lines, over: p.Time == 0} }

// skip reports whether the next line of the stream, stamped ns, was read
// already. It trusts the order of the Engine, not the timestamps: after the
// resume point no line is skipped, however old it claims to be.
func (r *resume) skip(ns int64) bool {
	switch {
	case r.over:
		return false
	case !r.started && ns < r.from.Time:
		return true
	case ns > r.from.Time || r.left == 0:
		r.over = true
		return false
	}
	r.started = true
	r.left--
	return true
}
