package scrape

import (
	"bytes"
	"hash/maphash"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// cache is what is remembered of a target's last good page: each line, in
// order, without its value.
type cache struct {
	slots []slot
	text  []byte // the text of all slots, end to end
	live  bool   // false once the series have been marked stale
}

// slot is one line: a series as the page spelt it, or a comment in full. Its
// text lies between the end of the slot before and end.
type slot struct {
	series *pipeline.Series // nil for a comment
	end    uint32
	kind   slotKind
	family familyKind // of a series: in effect; of a TYPE line: declared
	own    bool       // the last sample had a timestamp of its own
}

type slotKind uint8

const (
	// kindSeries is the first line of a series.
	kindSeries slotKind = iota
	// kindAgain is a line whose series an earlier line of the page has too.
	kindAgain
	// kindComment is a comment without consequence for the lines below.
	kindComment
	// kindType is a TYPE line, which governs how labels below it are read.
	kindType
)

// familyKind is the part of a TYPE line on which the reading of labels
// depends: le of histograms and quantile of summaries are put in one form.
type familyKind uint8

const (
	familyPlain familyKind = iota
	familyHistogram
	familySummary
	familyAny // represents a comment when looking up
)

func kindOfFamily(t model.MetricType) familyKind {
	switch t {
	case model.MetricTypeHistogram:
		return familyHistogram
	case model.MetricTypeSummary:
		return familySummary
	}
	return familyPlain
}

func (c *cache) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return c.slots[i-1].end
}

func (c *cache) textOf(i int) []byte { return c.text[c.start(i):c.slots[i].end] }

func (c *cache) add(text []byte, s slot) *slot {
	c.text = append(c.text, text...)
	s.end = uint32(len(c.text))
	c.slots = append(c.slots, s)
	return &c.slots[len(c.slots)-1]
}

// series counts the series remembered.
func (c *cache) series() int {
	n := 0
	for i := range c.slots {
		if c.slots[i].kind == kindSeries {
			n++
		}
	}
	return n
}

// trim frees room that growing left over, if that is worth a copy.
func (c *cache) trim() {
	if cap(c.text)-len(c.text) > len(c.text)/8 {
		c.text = append(make([]byte, 0, len(c.text)), c.text...)
	}
	if cap(c.slots)-len(c.slots) > len(c.slots)/8 {
		c.slots = append(make([]slot, 0, len(c.slots)), c.slots...)
	}
}

// recorder compares a page, line by line, with the cache of the one before.
// As long as they are the same, it only moves a cursor. At the first difference
// it starts to build the cache of the new page.
type recorder struct {
	prev     *cache
	cursor   int    // the slot expected next
	pos      uint32 // where its text starts
	pageSize int
	diff     *difference // nil as long as there is none
}

// difference is the state of a recorder that has met one.
type difference struct {
	next     cache
	seen     []uint64 // bit i: slot i of the old cache is on the new page
	seed     maphash.Seed
	byText   map[uint64]int32 // slots of the old cache; nil until needed
	byLabels map[uint64]int32 // old slots as i, new slots as -i-1; nil until needed
}

// expected is the text and the slot that come next if nothing has changed. The
// slot is nil at the end.
func (r *recorder) expected() ([]byte, *slot) {
	if r.cursor >= len(r.prev.slots) {
		return nil, nil
	}
	s := &r.prev.slots[r.cursor]
	return r.prev.text[r.pos:s.end], s
}

// skipComments moves on to the next series, for a reader that does not show
// comments as they are on the page.
func (r *recorder) skipComments() {
	for r.cursor < len(r.prev.slots) && r.prev.slots[r.cursor].series == nil {
		r.pos = r.prev.slots[r.cursor].end
		r.cursor++
	}
}

// take consumes the expected slot. again reports that the page has had a line of this
// series before.
func (r *recorder) take() (s *slot, again bool) {
	i := r.cursor
	s = &r.prev.slots[i]
	if r.diff == nil {
		r.cursor, r.pos = i+1, s.end
		return s, s.kind == kindAgain
	}
	text := r.prev.text[r.pos:s.end]
	r.cursor, r.pos = i+1, s.end
	entry := *s
	if entry.series != nil {
		first := i
		if entry.kind == kindAgain {
			first = r.firstOf(entry.series)
		}
		again = r.diff.mark(first)
		entry.kind = kindSeries
		if again {
			entry.kind = kindAgain
		}
	}
	return r.diff.next.add(text, entry), again
}

// find looks for a line anywhere on the page before; if it is there, it is
// expected next.
func (r *recorder) find(text []byte, family familyKind) bool {
	d := r.diverge()
	if d.byText == nil {
		d.indexText(r.prev)
	}
	i, ok := d.byText[d.hash(text, family)]
	if !ok || !bytes.Equal(r.prev.textOf(int(i)), text) {
		return false
	}
	if family != familyAny && r.prev.slots[i].family != family {
		return false
	}
	r.cursor, r.pos = int(i), r.prev.start(int(i))
	return true
}

// addComment remembers a comment that the page before did not have.
func (r *recorder) addComment(text []byte, kind slotKind, family familyKind) {
	r.diverge().next.add(text, slot{kind: kind, family: family})
}

// addSeries remembers a line that the page before did not have. Its labels may
// still be those of a series that is known in another spelling.
func (r *recorder) addSeries(text []byte, family familyKind, lset labels.Labels) (s *slot, again bool) {
	d := r.diverge()
	if d.byLabels == nil {
		d.indexLabels(r.prev)
	}
	hash := lset.Hash()
	entry := slot{family: family}
	if ref, ok := d.byLabels[hash]; ok {
		var other *pipeline.Series
		if ref >= 0 {
			other = r.prev.slots[ref].series
		} else {
			other = d.next.slots[-ref-1].series
		}
		if labels.Equal(other.Labels, lset) {
			entry.series = other
			again = ref < 0 || d.mark(int(ref))
		}
	}
	if entry.series == nil {
		entry.series = pipeline.NewSeries(lset)
		d.byLabels[hash] = int32(-len(d.next.slots) - 1)
	}
	if again {
		entry.kind = kindAgain
	}
	return d.next.add(text, entry), again
}

// firstOf is the slot of the old cache that holds the first line of series.
func (r *recorder) firstOf(series *pipeline.Series) int {
	d := r.diff
	if d.byLabels == nil {
		d.indexLabels(r.prev)
	}
	if i, ok := d.byLabels[series.Labels.Hash()]; ok && i >= 0 && r.prev.slots[i].series == series {
		return int(i)
	}
	// Two label sets have the same hash.
	for i, s := range r.prev.slots {
		if s.series == series && s.kind == kindSeries {
			return i
		}
	}
	panic("BUG: a repeated series has no first line")
}

// finish returns the cache of the page, and the slots of the cache before
// whose series are not on it.
func (r *recorder) finish() (*cache, []slot) {
	if r.diff == nil && r.cursor == len(r.prev.slots) {
		return r.prev, nil
	}
	d := r.diverge()
	var gone []slot
	for i, s := range r.prev.slots {
		if s.kind == kindSeries && d.seen[i/64]&(1<<(i%64)) == 0 {
			gone = append(gone, s)
		}
	}
	d.next.trim()
	return &d.next, gone
}

func (r *recorder) diverge() *difference {
	if r.diff != nil {
		return r.diff
	}
	d := &difference{seen: make([]uint64, len(r.prev.slots)/64+1), seed: maphash.MakeSeed()}
	if r.cursor == 0 {
		d.next.text = make([]byte, 0, r.pageSize)
	} else {
		d.next.text = append(make([]byte, 0, len(r.prev.text)+len(r.prev.text)/16+256), r.prev.text[:r.pos]...)
	}
	d.next.slots = append(make([]slot, 0, len(r.prev.slots)+len(r.prev.slots)/16+16), r.prev.slots[:r.cursor]...)
	for i := range r.cursor {
		d.seen[i/64] |= 1 << (i % 64)
	}
	r.diff = d
	return d
}

// mark records that slot i of the old cache is on the new page, and returns whether it
// was recorded before.
func (d *difference) mark(i int) bool {
	word, bit := &d.seen[i/64], uint64(1)<<(i%64)
	before := *word&bit != 0
	*word |= bit
	return before
}

func (d *difference) hash(text []byte, family familyKind) uint64 {
	return maphash.Bytes(d.seed, text) + uint64(family)*0x9e3779b97f4a7c15
}

func (d *difference) indexText(c *cache) {
	d.byText = make(map[uint64]int32, len(c.slots))
	for i := range c.slots {
		family := familyAny
		if c.slots[i].series != nil {
			family = c.slots[i].family
		}
		h := d.hash(c.textOf(i), family)
		if _, ok := d.byText[h]; !ok {
			d.byText[h] = int32(i)
		}
	}
}

func (d *difference) indexLabels(c *cache) {
	d.byLabels = make(map[uint64]int32, len(c.slots))
	for i := range c.slots {
		if c.slots[i].kind == kindSeries {
			d.byLabels[c.slots[i].series.Labels.Hash()] = int32(i)
		}
	}
}
