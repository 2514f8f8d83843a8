package faro

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-sourcemap/sourcemap"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/throttle"
)

const (
	// keptFor and failureKeptFor are how long a source map is used, and how long it is
	// not looked for again where there was none.
	keptFor, failureKeptFor = 10 * time.Minute, time.Minute
	// mapTime bounds how long the frames of one payload wait for source maps.
	mapTime = 10 * time.Second
	// maxMaps is what source maps may take of the memory; see maxMapsSize.
	maxMaps = 128 << 20
	// positionCost is what a position of a source map takes when it is decoded, and
	// entryOverhead what any result takes.
	positionCost, entryOverhead = 24, 512
	// maxURL and maxRelease bound what is looked for: both are what clients say.
	maxURL, maxRelease = 2 << 10, 200
	// maxOrigins bounds the origins that metrics have a series for.
	maxOrigins  = 500
	otherOrigin = "(other)"
)

// maxMapsSize is what source maps may take of the memory, and what one may: a sixth of
// the program's memory limit, if it has one.
func maxMapsSize() int { return int(4 * listen.WithinMemory(maxMaps/4)) }

// sourceMaps finds where in the sources a line of a minified script is from. It keeps
// source maps for a while, and is safe for concurrent use.
type sourceMaps struct {
	locations []*location
	download  *downloader // nil: nothing is downloaded
	max       int         // what they may take of the memory
	log       *slog.Logger
	quiet     throttle.Log
	metrics   *mapMetrics
	reading   chan struct{} // holds an element while a source map is read

	mu   sync.Mutex
	kept map[mapKey]*list.Element // of *result; guarded by mu, as is all below
	used *list.List               // of *result, the last used first
	size int
}

// mapKey is what a source map is looked for by.
type mapKey struct{ script, release string }

// result is what looking for a source map has led to.
type result struct {
	key     mapKey
	done    chan struct{}
	found   *sourcemap.Consumer // nil: there is none; set before done is closed
	size    int                 // guarded by sourceMaps.mu
	expires time.Time           // the zero time: it is still looked for; guarded by sourceMaps.mu
}

// newSourceMaps returns nil if c says nowhere to look.
func newSourceMaps(c SourceMapsConfig, o component.Options) (*sourceMaps, error) {
	s := &sourceMaps{
		max: maxMapsSize(), log: o.Logger, metrics: newMapMetrics(o.Metrics), reading: make(chan struct{}, 1),
		kept: make(map[mapKey]*list.Element), used: list.New(),
	}
	for i, l := range c.Locations {
		loc, err := newLocation(l)
		if err != nil {
			return nil, component.At("sourcemaps", component.At(component.Block("location", i), component.At("path", err)))
		}
		s.locations = append(s.locations, loc)
	}
	if c.Download {
		s.download = newDownloader(c, o.UserAgent, s.max/2, s.metrics)
	}
	if s.download == nil && len(s.locations) == 0 {
		return nil, nil
	}
	return s, nil
}

// resolve replaces the frames of exceptions by where they are from. What has no source
// map stays.
func (s *sourceMaps) resolve(ctx context.Context, p *Payload) {
	ctx, cancel := context.WithTimeout(ctx, mapTime)
	defer cancel()
	for _, e := range p.Exceptions {
		if e.Stacktrace == nil {
			continue
		}
		frames := e.Stacktrace.Frames
		for i := range frames {
			if found := s.get(ctx, mapKey{frames[i].Filename, p.Meta.App.Release}); found != nil {
				s.original(found, &frames[i])
			}
		}
	}
}

// original replaces a frame by where it is from. The library panics for a source map
// whose numbers are out of range.
func (s *sourceMaps) original(found *sourcemap.Consumer, f *Frame) {
	defer func() {
		if err := recover(); err != nil {
			s.quiet.Warn(s.log, f.Filename, "a source map is not valid; its script's stack traces stay minified", "script", f.Filename, "err", err)
		}
	}()
	file, function, line, column, ok := found.Source(f.Line, f.Column)
	if !ok {
		return
	}
	if function == "" {
		function = "?"
	}
	*f = Frame{Filename: file, Function: function, Line: line, Column: column}
}

// get returns the source map of a script; nil: there is none, or not in time.
func (s *sourceMaps) get(ctx context.Context, key mapKey) *sourcemap.Consumer {
	if key.script == "" || len(key.script) > maxURL || len(key.release) > maxRelease || ctx.Err() != nil {
		return nil
	}
	r, mine := s.begin(key)
	if mine {
		s.find(ctx, r)
	}
	select {
	case <-r.done:
		return r.found
	case <-ctx.Done():
		return nil
	}
}

// begin returns the result for key, and whether the caller has to find it.
func (s *sourceMaps) begin(key mapKey) (r *result, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.kept[key]; e != nil {
		r := e.Value.(*result)
		if r.expires.IsZero() || time.Now().Before(r.expires) {
			s.used.MoveToFront(e)
			return r, false
		}
		s.forget(e)
	}
	r = &result{key: key, done: make(chan struct{}), size: entryOverhead + len(key.script) + len(key.release)}
	s.kept[key] = s.used.PushFront(r)
	s.size += r.size
	return r, true
}

// find looks for a source map, and makes room for it. What was not found in time is
// looked for again.
func (s *sourceMaps) find(ctx context.Context, r *result) {
	defer close(r.done)
	found, size, err := s.load(ctx, r.key)
	if err != nil {
		s.quiet.Warn(s.log, r.key.script, "cannot read a source map; stack traces stay minified", "script", r.key.script, "release", r.key.release, "err", err)
	}
	r.found = found
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.kept[r.key]
	if e == nil || e.Value.(*result) != r {
		return // others have needed its room since
	}
	r.expires = time.Now().Add(failureKeptFor)
	if found != nil {
		r.expires = time.Now().Add(keptFor)
		r.size += size
		s.size += size
		s.metrics.cached.WithLabelValues(s.metrics.origin(r.key.script)).Inc()
	} else if ctx.Err() != nil {
		s.forget(e)
	}
	for s.size > s.max && s.used.Len() > 1 {
		s.forget(s.used.Back())
	}
}

// forget removes a result. The caller holds mu.
func (s *sourceMaps) forget(e *list.Element) {
	r := s.used.Remove(e).(*result)
	delete(s.kept, r.key)
	s.size -= r.size
	if !r.expires.IsZero() && r.found != nil {
		s.metrics.cached.WithLabelValues(s.metrics.origin(r.key.script)).Dec()
	}
}

// load reads a source map, and says what it takes of the memory; nil: there is none.
// One is read at a time.
func (s *sourceMaps) load(ctx context.Context, key mapKey) (found *sourcemap.Consumer, size int, err error) {
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	content, from, err := s.content(ctx, key)
	if err != nil || content == nil {
		return nil, 0, err
	}
	size = 3*len(content) + positionCost*(bytes.Count(content, []byte(","))+bytes.Count(content, []byte(";")))
	if size > s.max {
		return nil, 0, fmt.Errorf("decoded, the source map needs %d MiB of memory, of which source maps may use %d: give the collector more memory", size>>20, s.max>>20)
	}
	found, err = decodeMap(from, content)
	return found, size, err
}

// decodeMap decodes a source map. The library panics for some that are not valid.
func decodeMap(from string, content []byte) (found *sourcemap.Consumer, err error) {
	defer func() {
		if r := recover(); r != nil {
			found, err = nil, fmt.Errorf("the source map is not valid: %v", r)
		}
	}()
	return sourcemap.Parse(from, content)
}

// content is the text of a source map and the URL that its sources are relative to;
// nil: there is none. The first location that has one counts.
func (s *sourceMaps) content(ctx context.Context, key mapKey) (content []byte, from string, err error) {
	for _, l := range s.locations {
		path, ok := l.file(key)
		if !ok {
			continue
		}
		content, status, err := readMap(path, s.max)
		s.metrics.reads.WithLabelValues(s.metrics.origin(key.script), status).Inc()
		if err != nil || content != nil {
			return content, key.script, err
		}
	}
	if s.download != nil && s.download.allowed(key.script) {
		return s.download.sourceMap(ctx, key.script)
	}
	return nil, "", nil
}

// close gives back what is kept.
func (s *sourceMaps) close() {
	if s != nil && s.download != nil {
		s.download.client.CloseIdleConnections()
	}
}

// mapMetrics are the metrics of source maps.
type mapMetrics struct {
	cached    *prometheus.GaugeVec   // by origin
	downloads *prometheus.CounterVec // by origin and http_status
	reads     *prometheus.CounterVec // by origin and status

	mu      sync.Mutex
	origins map[string]struct{} // guarded by mu
}

func newMapMetrics(reg prometheus.Registerer) *mapMetrics {
	m := &mapMetrics{
		cached: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "faro_receiver_sourcemap_cache_size", Help: "Source maps that are kept in memory, by the origin of the script.",
		}, []string{"origin"}),
		downloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "faro_receiver_sourcemap_downloads_total", Help: "Downloads of scripts and source maps, by origin and HTTP status; \"?\" if there was no response.",
		}, []string{"origin", "http_status"}),
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "faro_receiver_sourcemap_file_reads_total", Help: "Source maps that were looked for on disk, by the origin of the script and the outcome.",
		}, []string{"origin", "status"}),
		origins: make(map[string]struct{}),
	}
	reg.MustRegister(m.cached, m.downloads, m.reads)
	return m
}

// origin is the origin of a URL, of which clients make up as many as they like.
func (m *mapMetrics) origin(address string) string {
	origin := "?"
	if u, err := url.Parse(address); err == nil {
		origin = u.Scheme + "://" + u.Host
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.origins[origin]; !known {
		if len(m.origins) >= maxOrigins || len(origin) > maxRelease {
			return otherOrigin
		}
		m.origins[origin] = struct{}{}
	}
	return origin
}

// errStatus is the answer to a download.
func errStatus(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return errors.New("the response is " + resp.Status)
}
