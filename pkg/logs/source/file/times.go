package file

import (
	"slices"
	"strconv"
	"strings"

	"collector/pkg/logs/source/lines"
)

// A line of a file gets its time when it is read. For Loki to store a line once that
// is sent again, because the process died after a receiver had accepted it, it has to
// get the same time again. So the times of the lines in a batch are stored before
// that is delivered, with the position from which they are read again.

// run is the times of lines that follow one another: the first has the time at, each
// other one a nanosecond more than the line before it.
type run struct{ at, lines int64 }

// sending is the lines of a file that are in the batch.
type sending struct {
	part *part // which they are from; one that was truncated is followed by its copy
	base mark  // where they begin
	runs []run
}

// stored is the position from which the lines are read again.
func (s *sending) stored() mark {
	m := s.base
	m.Sent = encodeRuns(slices.Concat(s.runs, s.part.again))
	return m
}

// stamp is the time of the next line: the one that it had before or, if it had none, the
// one that lines.Time gives to it. newest is what last is for the line after it.
func (s *sending) stamp(last, now int64) (at, newest int64) {
	if p := s.part; len(p.again) > 0 {
		next := &p.again[0]
		at, newest = next.at, max(last, next.at)
		next.at++
		if next.lines--; next.lines <= 0 {
			p.again = p.again[1:]
		}
	} else {
		at = lines.Time(last, now)
		newest = at
	}
	if n := len(s.runs) - 1; n >= 0 && s.runs[n].at+s.runs[n].lines == at {
		s.runs[n].lines++
	} else {
		s.runs = append(s.runs, run{at, 1})
	}
	return at, newest
}

// encodeRuns makes the text of runs, such as "1700000000000000000+12 1700000000000005000+3".
func encodeRuns(runs []run) string {
	var b []byte
	for _, r := range runs {
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(append(strconv.AppendInt(b, r.at, 10), '+'), r.lines, 10)
	}
	return string(b)
}

// decodeRuns is the inverse of encodeRuns. What can't be read ends it.
func decodeRuns(text string) (runs []run) {
	for field := range strings.FieldsSeq(text) {
		before, after, _ := strings.Cut(field, "+")
		at, err := strconv.ParseInt(before, 10, 64)
		n, countErr := strconv.ParseInt(after, 10, 64)
		if err != nil || countErr != nil || n <= 0 {
			return runs
		}
		runs = append(runs, run{at, n})
	}
	return runs
}
