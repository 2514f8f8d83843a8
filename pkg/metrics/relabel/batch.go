package relabel

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"collector/pkg/pipeline"
)

// batch is what the rules make of one call. Its slices and maps are used again.
type batch struct {
	out       pipeline.Metrics
	relabeled int // items that the rules drop
	duplicate int // items of series that the rules made equal
	exemplars int // that are dropped
	hits      int
	misses    int

	entries []*entry            // of the samples and histograms of the input, in order
	seen    map[instant]bool    // of outputs that are shared
	renamed map[string][]string // metrics to the names that they have now: none if all series are dropped
}

// instant is a place that a series has for one value.
type instant struct {
	series *output
	t      int64
}

// maxKept bounds the samples of a batch that waits for reuse.
const maxKept = 100_000

func (b *batch) reset() {
	if cap(b.entries) > maxKept {
		*b = batch{}
		return
	}
	clear(b.out.Samples)
	clear(b.out.Histograms)
	clear(b.out.Exemplars)
	clear(b.out.Metadata)
	clear(b.entries)
	clear(b.seen)
	clear(b.renamed)
	*b = batch{
		out: pipeline.Metrics{
			Samples: b.out.Samples[:0], Histograms: b.out.Histograms[:0],
			Exemplars: b.out.Exemplars[:0], Metadata: b.out.Metadata[:0],
		},
		entries: b.entries[:0], seen: b.seen, renamed: b.renamed,
	}
}

// relabel fills the batch with what the rules make of m. All series are looked up
// before the first sample is taken, so that it is known which become equal.
func (b *batch) relabel(c *cache, m pipeline.Metrics) {
	for i := range m.Samples {
		b.entries = append(b.entries, b.of(c, m.Samples[i].Series))
	}
	for i := range m.Histograms {
		b.entries = append(b.entries, b.of(c, m.Histograms[i].Series))
	}
	for i := range m.Samples {
		s, e := m.Samples[i], b.entries[i]
		if b.takes(e, s.T) {
			b.out.Samples = append(b.out.Samples, pipeline.Sample{Series: e.out.series, T: s.T, V: s.V})
		}
	}
	for i := range m.Histograms {
		h, e := m.Histograms[i], b.entries[len(m.Samples)+i]
		if b.takes(e, h.T) {
			h.Series = e.out.series
			b.out.Histograms = append(b.out.Histograms, h)
		}
	}
	for i := range m.Exemplars {
		x := m.Exemplars[i]
		e, _ := c.of(x.Series)
		if e.out == nil {
			b.exemplars++
			continue
		}
		x.Series = e.out.series
		b.out.Exemplars = append(b.out.Exemplars, x)
	}
	b.rename(c, m.Metadata)
}

func (b *batch) of(c *cache, s *pipeline.Series) *entry {
	e, hit := c.of(s)
	if hit {
		b.hits++
	} else {
		b.misses++
	}
	return e
}

// takes reports whether a value of that time is sent, and counts it if it is not.
// Of several series that become equal, the first one has the value.
func (b *batch) takes(e *entry, t int64) bool {
	if e.out == nil {
		b.relabeled++
		return false
	}
	if !e.out.shared.Load() {
		return true
	}
	at := instant{e.out, t}
	if b.seen[at] {
		b.duplicate++
		return false
	}
	if b.seen == nil {
		b.seen = make(map[instant]bool)
	}
	b.seen[at] = true
	return true
}

// end removes from the cache the series of m that end with a stale marker, and
// returns how many.
func (b *batch) end(c *cache, m pipeline.Metrics) (n int) {
	for i := range m.Samples {
		if s := &m.Samples[i]; value.IsStaleNaN(s.V) {
			c.remove(s.Series, b.entries[i])
			n++
		}
	}
	for i := range m.Histograms {
		h := &m.Histograms[i]
		if h.H != nil && value.IsStaleNaN(h.H.Sum) || h.FH != nil && value.IsStaleNaN(h.FH.Sum) {
			c.remove(h.Series, b.entries[len(m.Samples)+i])
			n++
		}
	}
	return n
}

// rename gives metadata the names that the rules gave to the samples of its
// family in this batch; it is dropped if they drop all of those. Metadata without
// such samples has what the rules make of its name alone.
func (b *batch) rename(c *cache, metadata []pipeline.Metadata) {
	if len(metadata) == 0 {
		return
	}
	if b.renamed == nil {
		b.renamed = make(map[string][]string)
	}
	for _, e := range b.entries {
		names, known := b.renamed[e.name]
		switch {
		case e.out != nil && !slices.Contains(names, e.out.name):
			b.renamed[e.name] = append(names, e.out.name)
		case !known:
			b.renamed[e.name] = nil
		}
	}
	for _, m := range metadata {
		names, sampled := b.families(m.Family)
		if !sampled {
			alone := c.rules(labels.FromStrings(labels.MetricName, m.Family))
			if name := alone.Get(labels.MetricName); name != "" {
				names = append(names, name)
			}
		}
		for _, name := range names {
			m.Family = name
			b.out.Metadata = append(b.out.Metadata, m)
		}
	}
}

// families are the names that a family has now, if the batch has samples of it.
func (b *batch) families(family string) (names []string, sampled bool) {
	for _, suffix := range suffixes() {
		renamed, ok := b.renamed[family+suffix]
		sampled = sampled || ok
		for _, name := range renamed {
			name = strings.TrimSuffix(name, suffix)
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, sampled
}

// suffixes are what the names of samples have after that of their family.
func suffixes() [7]string {
	return [...]string{"", "_total", "_bucket", "_sum", "_count", "_info", "_created"}
}
