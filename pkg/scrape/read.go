package scrape

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"collector/pkg/cause"
	"collector/pkg/pipeline"
)

// settings are those arguments on which the reading of a page depends.
type settings struct {
	honorTimestamps bool
	fallback        string // media type, or empty
	sampleLimit     int
	bucketLimit     int
	maxSchema       int32
	nativeHists     bool
	classicHists    bool
	toNHCB          bool
}

// content is what a page holds. Its slices are reused.
type content struct {
	total    int // samples on the page
	added    int // of those, of a kind that is wanted
	fresh    int // of those, whose series was not on the page before
	repeated int // samples omitted because the page has the series twice
	limited  int // samples that count towards sample_limit

	// Samples with timestamps of their own that were omitted.
	outOfOrder, outOfBounds int

	samples    []pipeline.Sample
	histograms []pipeline.HistogramSample
	exemplars  []pipeline.Exemplar
	families   []familyChange
	metadata   []pipeline.Metadata
	// own reports which samples and histograms have timestamps of their own.
	own           []int
	ownHistograms []int
}

// familyChange is a part of a family's metadata.
type familyChange struct {
	name  string
	entry textparse.Entry
	kind  model.MetricType
	text  string
}

// resetSamples empties c but for the counts, which are reported even for a page that
// fails.
func (c *content) resetSamples() {
	clear(c.samples)
	clear(c.histograms)
	clear(c.exemplars)
	clear(c.families)
	clear(c.metadata)
	c.samples, c.histograms, c.exemplars = c.samples[:0], c.histograms[:0], c.exemplars[:0]
	c.families, c.metadata = c.families[:0], c.metadata[:0]
	c.own, c.ownHistograms = c.own[:0], c.ownHistograms[:0]
}

func (c *content) reset() {
	c.resetSamples()
	c.total, c.added, c.fresh, c.repeated, c.limited = 0, 0, 0, 0, 0
	c.outOfOrder, c.outOfBounds = 0, 0
}

// reader reads one page.
type reader struct {
	*settings
	rules  *rules
	target labels.Labels
	known  map[string]pipeline.Metadata // of the pages before
	rec    recorder
	out    *content
	now    int64
	claim  *claim
	owed   int64 // bytes made and not yet taken of claim
	short  error // why there is no room for more
	// scratch is passed to parsers, and would otherwise be allocated for each line.
	scratch exemplar.Exemplar
}

// sample takes one float sample, and reports whether it counts.
func (r *reader) sample(s *slot, again bool, v float64, t int64, own bool) bool {
	r.out.total++
	r.out.added++
	if !own || !r.honorTimestamps {
		own, t = false, r.now
	}
	if again && !own {
		r.out.repeated++
		return false
	}
	r.out.limited++
	s.own = own
	if own {
		r.out.own = append(r.out.own, len(r.out.samples))
	}
	r.out.samples = append(r.out.samples, pipeline.Sample{Series: s.series, T: t, V: v})
	r.charge(sampleCost)
	return true
}

func (r *reader) overLimit() bool { return r.sampleLimit > 0 && r.out.limited > r.sampleLimit }

// chargeEvery is how many bytes are made of a page before they are counted.
const chargeEvery = 64 << 10

// charge counts what is made of the page, and reports whether there is room.
func (r *reader) charge(bytes int64) bool {
	if r.owed += bytes; r.owed >= chargeEvery && r.short == nil {
		r.short = r.claim.take(r.owed)
		r.owed = 0
	}
	return r.short == nil
}

func (r *reader) exemplar(s *slot, e exemplar.Exemplar) {
	if !e.HasTs {
		e.Ts = r.out.samples[len(r.out.samples)-1].T
	}
	r.out.exemplars = append(r.out.exemplars, pipeline.Exemplar{Series: s.series, Exemplar: e})
	r.charge(exemplarCost)
}

// describe takes a HELP, TYPE or UNIT line, if it says anything new.
func (r *reader) describe(p textparse.Parser, entry textparse.Entry) {
	change := familyChange{entry: entry}
	var name, text []byte
	switch entry {
	case textparse.EntryType:
		name, change.kind = p.Type()
	case textparse.EntryHelp, textparse.EntryUnit:
		name, text = familyText(p, entry)
	default:
		return
	}
	old, ok := r.known[string(name)]
	if ok {
		switch {
		case entry == textparse.EntryType && old.Type == change.kind,
			entry == textparse.EntryHelp && old.Help == string(text),
			entry == textparse.EntryUnit && old.Unit == string(text):
			return
		}
	}
	change.name, change.text = string(name), string(text)
	r.out.families = append(r.out.families, change)
	r.charge(familyCost + int64(len(name)+len(text)))
}

// parse reads a page in any format through textparse.
func (r *reader) parse(page []byte, contentType string) error {
	p, err := textparse.New(page, contentType, nil, textparse.ParserOptions{
		ConvertClassicHistogramsToNHCB: r.toNHCB,
		// If native histograms are not wanted, the classic ones beside them are.
		KeepClassicOnClassicAndNativeHistograms: r.classicHists || !r.nativeHists && !r.toNHCB,
		FallbackContentType:                     r.fallback,
	})
	if p == nil {
		return cause.NewPage(errors.New(beginning(err.Error())), contentType, page)
	}
	var family familyKind
	var failed error // a limit: the page is counted to its end
	for entries := 0; r.short == nil; entries++ {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return r.exceeded(failed)
		}
		if err != nil {
			// The parser quotes the whole line.
			return r.failedAt(page, contentType, entries, errors.New("parse the page: "+beginning(err.Error())), "")
		}
		switch entry {
		case textparse.EntryType:
			_, t := p.Type()
			family = kindOfFamily(t)
			r.describe(p, entry)
		case textparse.EntryHelp, textparse.EntryUnit:
			r.describe(p, entry)
		case textparse.EntrySeries:
			err = r.parseSeries(p, family, failed != nil)
		case textparse.EntryHistogram:
			err = r.parseHistogram(p, family, failed != nil)
		}
		switch {
		case errors.Is(err, errSampleLimit) || errors.Is(err, errBucketLimit):
			if failed == nil || errors.Is(err, errSampleLimit) {
				failed = err
			}
		case errors.Is(err, errLabelLimit):
			return err
		case err != nil:
			return r.failedAt(page, contentType, entries, err, err.Error())
		}
	}
	return r.short
}

func (r *reader) parseSeries(p textparse.Parser, family familyKind, countOnly bool) error {
	text, at, v := p.Series()
	if countOnly {
		r.out.total++
		r.out.added++
		r.out.limited++
		if r.overLimit() {
			return errSampleLimit
		}
		return nil
	}
	s, again, err := r.locate(p, text, family)
	if err != nil {
		r.out.total++
		return err
	}
	var t int64
	if at != nil {
		t = *at
	}
	added := r.sample(s, again, v, t, at != nil)
	if r.overLimit() {
		return errSampleLimit
	}
	for p.Exemplar(&r.scratch) {
		if added {
			r.exemplar(s, r.scratch)
		}
		r.scratch = exemplar.Exemplar{}
	}
	return nil
}

// locate finds the slot of a series, or makes one.
func (r *reader) locate(p textparse.Parser, text []byte, family familyKind) (s *slot, again bool, err error) {
	r.rec.skipComments()
	if want, slot := r.rec.expected(); slot != nil && slot.family == family && bytes.Equal(want, text) || r.rec.find(text, family) {
		s, again = r.rec.take()
		return s, again, nil
	}
	var exposed labels.Labels
	p.Labels(&exposed)
	lset, err := r.rules.series(exposed, r.target)
	if err != nil {
		return nil, false, err
	}
	s, again = r.rec.addSeries(text, family, lset)
	r.out.fresh++
	r.charge(slotCost + int64(len(text)) + costOf(lset))
	return s, again, nil
}

func (r *reader) parseHistogram(p textparse.Parser, family familyKind, countOnly bool) error {
	text, at, h, fh := p.Histogram()
	r.out.total++
	custom := h != nil && histogram.IsCustomBucketsSchema(h.Schema) || fh != nil && histogram.IsCustomBucketsSchema(fh.Schema)
	if !r.nativeHists && !custom {
		return nil
	}
	r.out.added++
	if countOnly {
		return nil
	}
	s, again, err := r.locate(p, text, family)
	if err != nil {
		return err
	}
	sample := pipeline.HistogramSample{Series: s.series, T: r.now}
	own := at != nil && r.honorTimestamps
	if own {
		sample.T = *at
	}
	if again && !own {
		r.out.repeated++
		return nil
	}
	if sample.H, sample.FH, err = r.fit(h, fh); err != nil {
		return err
	}
	s.own = own
	if own {
		r.out.ownHistograms = append(r.out.ownHistograms, len(r.out.histograms))
	}
	r.out.histograms = append(r.out.histograms, sample)
	r.charge(exemplarCost + bucketCost*int64(bucketsOf(sample)))
	r.histogramExemplars(p, s)
	return nil
}

// histogramExemplars takes those exemplars that have a timestamp: without one, a repeated
// exemplar cannot be distinguished from a new one.
func (r *reader) histogramExemplars(p textparse.Parser, s *slot) {
	from := len(r.out.exemplars)
	var e exemplar.Exemplar
	for p.Exemplar(&e) {
		if e.HasTs {
			r.out.exemplars = append(r.out.exemplars, pipeline.Exemplar{Series: s.series, Exemplar: e})
			r.charge(exemplarCost)
		}
		e = exemplar.Exemplar{}
	}
	slices.SortFunc(r.out.exemplars[from:], func(a, b pipeline.Exemplar) int {
		return exemplar.Compare(a.Exemplar, b.Exemplar)
	})
}

func bucketsOf(s pipeline.HistogramSample) int {
	if s.H != nil {
		return len(s.H.PositiveBuckets) + len(s.H.NegativeBuckets)
	}
	return len(s.FH.PositiveBuckets) + len(s.FH.NegativeBuckets)
}

// fit reduces the resolution of a histogram until it is within the limits.
func (r *reader) fit(h *histogram.Histogram, fh *histogram.FloatHistogram) (*histogram.Histogram, *histogram.FloatHistogram, error) {
	schema := func() int32 {
		if h != nil {
			return h.Schema
		}
		return fh.Schema
	}
	buckets := func() int { return bucketsOf(pipeline.HistogramSample{H: h, FH: fh}) }
	reduce := func(to int32) {
		if h != nil {
			h = h.ReduceResolution(to)
		} else {
			fh = fh.ReduceResolution(to)
		}
	}
	if histogram.IsExponentialSchemaReserved(schema()) && schema() > r.maxSchema {
		reduce(r.maxSchema)
	}
	for r.bucketLimit > 0 && buckets() > r.bucketLimit {
		if !histogram.IsExponentialSchema(schema()) || schema() <= histogram.ExponentialSchemaMin {
			return nil, nil, errBucketLimit
		}
		reduce(schema() - 1)
	}
	var err error
	if h != nil {
		err = h.Validate()
	} else {
		err = fh.Validate()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("invalid native histogram: %w", err)
	}
	return h, fh, nil
}
