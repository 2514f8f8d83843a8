package docker

import (
	"encoding/binary"
	"hash/maphash"
	"time"
)

const (
	// recentLines is how many lines are remembered at most.
	recentLines = 4096
	// recentGap is the pause after which no line from before it is repeated.
	recentGap = time.Second
)

// recent remembers the last lines of a stream. An Engine that keeps a single log file
// empties it when it is full; if it has sent the first lines of the new contents before
// it notices, it sends them again. The times of a stream rise, unless the clock is set
// back: a line that is not newer than the one before it, and that has been seen with that
// time and text, is a repetition.
type recent struct {
	seed  maphash.Seed
	lines []uint64 // hashes of time and text; a ring once it is full
	next  int      // where the next goes, in a full ring
	last  int64    // time of the last line that was no repetition
}

// repeated reports whether a line is one of the last, and remembers it if not.
func (r *recent) repeated(l rawLine) bool {
	if r.seed == (maphash.Seed{}) {
		r.seed = maphash.MakeSeed()
	}
	var h maphash.Hash
	h.SetSeed(r.seed)
	var stamp [8]byte
	binary.LittleEndian.PutUint64(stamp[:], uint64(l.time))
	h.Write(stamp[:])
	h.Write(l.text)
	sum := h.Sum64()
	if l.time <= r.last {
		for _, have := range r.lines {
			if have == sum {
				return true
			}
		}
	}
	if l.time-r.last > int64(recentGap) {
		r.lines, r.next = r.lines[:0], 0
		if cap(r.lines) > recentLines/16 {
			r.lines = nil
		}
	}
	r.last = l.time
	if len(r.lines) < recentLines {
		r.lines = append(r.lines, sum)
		return false
	}
	r.lines[r.next] = sum
	r.next = (r.next + 1) % recentLines
	return false
}
