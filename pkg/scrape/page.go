package scrape

import (
	"fmt"
	"math"
	"mime"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"

	"collector/pkg/cause"
	"collector/pkg/pipeline"
)

// farFuture is how far ahead of the clock a timestamp may be.
const farFuture = 10 * time.Minute

// history is what a target's pages have in common: everything that is kept
// from one scrape to the next.
type history struct {
	cache
	count    int   // series in the cache
	bytes    int64 // that it takes, with families
	families map[string]pipeline.Metadata
	// pending are families whose metadata no receiver has yet.
	pending []string
	// lastOwn is the time of the last sample of each series that brings its own
	// timestamps, as such a sample is often repeated from scrape to scrape. One
	// that lies ahead of the clock is from before the clock was set back.
	lastOwn map[*pipeline.Series]int64
	// lastExemplar serves the same purpose for exemplars.
	lastExemplar map[*pipeline.Series]exemplar.Exemplar

	contentType string // of the last page
	format      pageFormat
	// parseNext is for how many more pages comparing is not tried, and parseRun for how
	// many it was not the last time.
	parseNext, parseRun int
}

type pageFormat uint8

const (
	formatOther pageFormat = iota // not for a walker
	formatText
	formatOpenMetrics
)

// read reads a page into out, updates what is remembered and adds stale
// markers for the series that no longer exist. After an error out holds nothing but
// stale markers and counts.
func (h *history) read(r *reader, page []byte, contentType string, track bool) (walked bool, err error) {
	if len(page) == 0 {
		h.markAllStale(r.out, r.now, track)
		return false, nil
	}
	if r.known = h.families; h.families == nil {
		h.families = make(map[string]pipeline.Metadata)
		r.known = h.families
	}
	walked, err = h.readPage(r, page, contentType)
	if err != nil {
		r.out.resetSamples()
		h.markAllStale(r.out, r.now, track)
		return walked, err
	}
	if !walked {
		// Nothing is lost that a parser changes.
		r.rec.skipComments()
	}
	wasLive := h.live
	next, gone := r.rec.finish()
	changed := next != &h.cache
	if changed {
		h.cache = *next
		h.count = h.series()
		h.forgetFamilies()
	}
	h.live = true
	h.filterOwn(r.out, r.now)
	h.filterExemplars(r.out)
	for _, s := range gone {
		delete(h.lastOwn, s.series)
		delete(h.lastExemplar, s.series)
		if wasLive && (!s.own || track) {
			r.out.samples = append(r.out.samples, staleMarker(s.series, r.now))
		}
	}
	h.describe(r.out.families)
	if changed {
		h.bytes = h.measure()
	}
	return walked, nil
}

// readPage compares the page with the one before where that can be done, and
// parses it in full otherwise.
func (h *history) readPage(r *reader, page []byte, contentType string) (walked bool, err error) {
	defer func() {
		// A parser that panics on a page costs only that page.
		if p := recover(); p != nil {
			err = cause.NewPage(fmt.Errorf("parse the page: the parser panicked: %v", p), contentType, page)
		}
	}()
	if contentType != h.contentType || h.format == formatOther {
		h.contentType, h.format = contentType, formatOf(contentType, r.settings)
	}
	prev := recorder{prev: &h.cache, pageSize: len(page)}
	tried := false
	if h.parseNext > 0 {
		h.parseNext--
	} else if h.format != formatOther {
		tried = true
		w := walker{reader: r, page: page, openMetrics: h.format == formatOpenMetrics}
		if !w.openMetrics {
			// The parser does the same to the end of a page.
			w.page = append(page, '\n')
		}
		r.rec = prev
		if w.walk() {
			h.parseRun = 0
			return true, nil
		}
		if r.short != nil {
			return false, r.short
		}
		r.out.reset()
	}
	r.rec = prev
	err = r.parse(page, contentType)
	if err == nil && tried {
		h.parseRun = min(2*h.parseRun+1, 63)
		h.parseNext = h.parseRun
	}
	return false, err
}

func formatOf(contentType string, s *settings) pageFormat {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "text/plain" && mediaType != "application/openmetrics-text" && mediaType != "application/vnd.google.protobuf" {
		mediaType = s.fallback
	}
	switch {
	case s.toNHCB:
	case mediaType == "text/plain":
		return formatText
	case mediaType == "application/openmetrics-text":
		return formatOpenMetrics
	}
	return formatOther
}

// markAllStale ends all series of the page before, once.
func (h *history) markAllStale(out *content, now int64, track bool) {
	if !h.live {
		return
	}
	h.live = false
	for i := range h.slots {
		if s := &h.slots[i]; s.kind == kindSeries && (!s.own || track) {
			out.samples = append(out.samples, staleMarker(s.series, now))
		}
	}
}

func staleMarker(s *pipeline.Series, now int64) pipeline.Sample {
	return pipeline.Sample{Series: s, T: now, V: math.Float64frombits(value.StaleNaN)}
}

// filterOwn removes samples with timestamps of their own that were sent before, lie
// before those, or lie in the far future.
func (h *history) filterOwn(out *content, now int64) {
	if len(out.own)+len(out.ownHistograms) == 0 {
		return
	}
	if h.lastOwn == nil {
		h.lastOwn = make(map[*pipeline.Series]int64)
	}
	out.samples = filterAt(out.samples, out.own, func(s pipeline.Sample) bool { return h.inOrder(out, s.Series, s.T, now) })
	out.histograms = filterAt(out.histograms, out.ownHistograms, func(s pipeline.HistogramSample) bool { return h.inOrder(out, s.Series, s.T, now) })
}

func (h *history) inOrder(out *content, s *pipeline.Series, t, now int64) bool {
	last, ok := h.lastOwn[s]
	switch {
	case t > now+farFuture.Milliseconds():
		out.outOfBounds++
		return false
	case ok && t == last:
		out.repeated++
		return false
	case ok && t < last && last <= now:
		out.outOfOrder++
		return false
	}
	h.lastOwn[s] = t
	return true
}

// filterAt removes, in place, the items at the given ascending indexes that are not kept.
func filterAt[T any](items []T, at []int, keep func(T) bool) []T {
	if len(at) == 0 {
		return items
	}
	n := at[0]
	for i := at[0]; i < len(items); i++ {
		if len(at) > 0 && at[0] == i {
			at = at[1:]
			if !keep(items[i]) {
				continue
			}
		}
		items[n] = items[i]
		n++
	}
	clear(items[n:])
	return items[:n]
}

// filterExemplars removes those that the series had at the last scrape.
func (h *history) filterExemplars(out *content) {
	if len(out.exemplars) == 0 {
		return
	}
	if h.lastExemplar == nil {
		h.lastExemplar = make(map[*pipeline.Series]exemplar.Exemplar)
	}
	fresh := out.exemplars[:0]
	for _, e := range out.exemplars {
		last, ok := h.lastExemplar[e.Series]
		if ok && (last.Equals(e.Exemplar) || e.Exemplar.HasTs && e.Exemplar.Ts < last.Ts) {
			continue
		}
		h.lastExemplar[e.Series] = e.Exemplar
		fresh = append(fresh, e)
	}
	clear(out.exemplars[len(fresh):])
	out.exemplars = fresh
}

// describe takes what is new in the page's metadata.
func (h *history) describe(changes []familyChange) {
	for _, c := range changes {
		m, ok := h.families[c.name]
		if !ok {
			m = pipeline.Metadata{Family: c.name, Type: "unknown"}
		}
		switch c.entry {
		case textparse.EntryType:
			m.Type = c.kind
		case textparse.EntryHelp:
			m.Help = c.text
		case textparse.EntryUnit:
			m.Unit = c.text
		}
		h.families[m.Family] = m
		if !slices.Contains(h.pending[max(0, len(h.pending)-1):], m.Family) {
			h.pending = append(h.pending, m.Family)
		}
	}
}

// forgetFamilies starts again when there are more families than the page could have.
// Repeating their metadata does no harm.
func (h *history) forgetFamilies() {
	if len(h.families) > len(h.slots)+64 {
		clear(h.families)
		h.text, h.slots = h.withoutComments()
	}
}

// withoutComments makes the comments of the next page new ones.
func (h *history) withoutComments() ([]byte, []slot) {
	var c cache
	for i, s := range h.slots {
		if s.series != nil {
			c.add(h.textOf(i), s)
		}
	}
	return c.text, c.slots
}

// reportLabels are the labels of one of the series that describe a scrape.
func reportLabels(b *labels.Builder, target labels.Labels, name string) labels.Labels {
	b.Reset(target)
	b.Set(labels.MetricName, name)
	return b.Labels()
}
