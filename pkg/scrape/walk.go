package scrape

import (
	"bytes"
	"math"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// walker reads a page in a text format by comparing it with the one before. Of a known
// line only the value is read; a new line is parsed by textparse alone. It gives up,
// which costs nothing but time, on whatever it does not know for certain that textparse
// reads in the same way: then the page is parsed in full.
type walker struct {
	*reader
	page        []byte // ends in a line end in the Prometheus text format
	off         int
	openMetrics bool
	family      familyKind // what the last TYPE line declared

	// ahead is a parser that is at the offset aheadAt of the page.
	ahead   textparse.Parser
	aheadAt int
}

// walk reports whether it has read the whole page.
func (w *walker) walk() (read bool) {
	defer func() {
		// There are lines on which textparse panics.
		if recover() != nil {
			read = false
		}
	}()
	for w.off < len(w.page) {
		text, slot := w.rec.expected()
		if slot != nil && bytes.HasPrefix(w.page[w.off:], text) {
			done, ok := w.known(len(text), slot)
			if !ok {
				return false
			}
			if done {
				continue
			}
		}
		end, ok := w.other()
		if end || !ok {
			return ok
		}
	}
	// OpenMetrics has to end with # EOF.
	return !w.openMetrics
}

// known reads a line that starts with the expected text. It returns false if the line
// differs after that.
func (w *walker) known(size int, s *slot) (done, ok bool) {
	after := w.off + size
	if after >= len(w.page) {
		return false, true
	}
	if s.series == nil {
		if w.page[after] != '\n' {
			return false, true
		}
		if s.kind == kindType {
			w.family = s.family
		}
		w.rec.take()
		w.off = after + 1
		return true, true
	}
	if c := w.page[after]; s.family != w.family || c != ' ' && c != '\t' {
		return false, true
	}
	t, ok := w.tail(after)
	if !ok {
		return false, false
	}
	return true, w.series(after, t, true)
}

func (w *walker) tail(i int) (tail, bool) {
	if w.openMetrics {
		return openMetricsTail(w.page, i)
	}
	return textTail(w.page, i)
}

// other reads a line that is not the expected one. end is the end of the page.
func (w *walker) other() (end, ok bool) {
	switch w.page[w.off] {
	case '\n':
		// Blank lines are allowed in one of the formats.
		if w.aheadAt == w.off {
			w.aheadAt++
		}
		w.off++
		return false, !w.openMetrics
	case '#':
		return w.comment()
	}
	after := seriesEnd(w.page, w.off)
	if after < 0 || after >= len(w.page) {
		return false, false
	}
	t, ok := w.tail(after)
	if !ok {
		return false, false
	}
	return false, w.series(after, t, w.rec.find(w.page[w.off:after], w.family))
}

// seriesEnd is where the name and the labels that start at i end; negative if that is not
// certain.
func seriesEnd(b []byte, i int) int {
	start := i
	for i < len(b) && (b[i]|0x20 >= 'a' && b[i]|0x20 <= 'z' || b[i]-'0' <= 9 || b[i] == '_' || b[i] == ':') {
		i++
	}
	if i == len(b) {
		return -1
	}
	if b[i] != '{' {
		if i == start {
			return -1
		}
		return i
	}
	for i++; i < len(b); i++ {
		switch b[i] {
		case '}':
			return i + 1
		case '\n':
			return -1
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		}
	}
	return -1
}

func (w *walker) comment() (end, ok bool) {
	line := w.page[w.off:]
	eol := bytes.IndexByte(line, '\n')
	if w.openMetrics && bytes.HasPrefix(line, []byte("# EOF")) {
		return true, eol == 5 && len(line) == 6 || eol < 0 && len(line) == 5
	}
	if eol < 0 {
		return false, false
	}
	line = line[:eol]
	if w.rec.find(line, familyAny) {
		if _, s := w.rec.expected(); s.kind == kindType {
			w.family = s.family
		}
		w.rec.take()
		w.off += eol + 1
		return false, true
	}
	return false, w.newComment(line)
}

// newComment makes textparse read a comment that the previous page did not have.
func (w *walker) newComment(line []byte) bool {
	entry, err := w.parser().Next()
	if err != nil {
		return false
	}
	var name []byte
	kind, family := kindComment, familyPlain
	switch entry {
	case textparse.EntryComment:
	case textparse.EntryType:
		n, t := w.ahead.Type()
		name, kind, family = n, kindType, kindOfFamily(t)
		w.family = family
	case textparse.EntryHelp, textparse.EntryUnit:
		name, _ = familyText(w.ahead, entry)
	default:
		return false
	}
	// A quoted name may hold a line end, and then this is not the whole line.
	if bytes.IndexByte(name, '\n') >= 0 {
		return false
	}
	w.describe(w.ahead, entry)
	w.rec.addComment(line, kind, family)
	w.off += len(line) + 1
	w.aheadAt = w.off
	return w.charge(slotCost + int64(len(line)))
}

func familyText(p textparse.Parser, entry textparse.Entry) (name, text []byte) {
	if entry == textparse.EntryHelp {
		return p.Help()
	}
	return p.Unit()
}

// parser returns one that is at the current line.
func (w *walker) parser() textparse.Parser {
	if w.ahead == nil || w.aheadAt != w.off {
		if w.openMetrics {
			w.ahead = textparse.NewOpenMetricsParser(w.page[w.off:], nil)
		} else {
			w.ahead = textparse.NewPromParser(w.page[w.off:], nil, false)
		}
	}
	return w.ahead
}

// series takes the line whose series ends at after. known means that it is the expected
// one; otherwise, or if it has an exemplar, textparse reads it too.
func (w *walker) series(after int, t tail, known bool) bool {
	if !known || t.exemplar {
		return w.newSeries(after, t, known)
	}
	s, again := w.rec.take()
	w.off = t.end
	w.sample(s, again, t.v, t.t, t.own)
	return w.mayGoOn()
}

// mayGoOn reports whether the page is within all limits so far.
func (w *walker) mayGoOn() bool { return w.short == nil && !w.overLimit() }

func (w *walker) newSeries(after int, t tail, known bool) bool {
	text := w.page[w.off:after]
	if !w.agrees(text, t) {
		return false
	}
	var ex exemplar.Exemplar
	if t.exemplar {
		eol := bytes.IndexByte(w.page[t.end:], '\n')
		// Escapes could hide a line end from the search for one.
		if eol < 0 || bytes.IndexByte(w.page[t.end:t.end+eol], '\\') >= 0 || !w.ahead.Exemplar(&ex) {
			return false
		}
		t.end += eol + 1
	}
	var s *slot
	var again bool
	if known {
		s, again = w.rec.take()
	} else {
		var exposed labels.Labels
		w.ahead.Labels(&exposed)
		lset, err := w.rules.series(canonical(exposed, w.family), w.target)
		if err != nil {
			return false
		}
		s, again = w.rec.addSeries(text, w.family, lset)
		w.out.fresh++
		w.charge(slotCost + int64(len(text)) + costOf(lset))
	}
	w.off, w.aheadAt = t.end, t.end
	added := w.sample(s, again, t.v, t.t, t.own)
	if added && t.exemplar {
		w.exemplar(s, ex)
	}
	return w.mayGoOn()
}

// agrees makes textparse read the current line, and reports whether it sees the same.
func (w *walker) agrees(text []byte, t tail) bool {
	entry, err := w.parser().Next()
	if err != nil || entry != textparse.EntrySeries {
		return false
	}
	series, at, v := w.ahead.Series()
	if !bytes.Equal(series, text) || math.Float64bits(v) != math.Float64bits(t.v) {
		return false
	}
	return (at != nil) == t.own && (at == nil || *at == t.t)
}
