// Package scrape is prometheus.scrape: it fetches pages of metrics from targets at
// regular times and forwards their samples.
//
// One goroutine keeps the time for all targets of a component (schedule.go);
// each scrape runs in a goroutine of its own, so that a slow target delays no
// other. Between scrapes a target costs the memory of its last page without
// the values (cache.go), by which the next page is read without parsing what
// has not changed (walk.go). Whatever is out of the ordinary is parsed by
// textparse (read.go); both ways give the same samples.
//
// Series that disappear, and all series of a target that fails or disappears,
// are ended by stale markers. When the component itself stops, none are
// written, as in Prometheus: a restart or a reload that scrapes the same
// targets again continues their series without a gap.
package scrape

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/cause"
	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/mask"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Scraper is a running prometheus.scrape.
type Scraper struct {
	cfg      Config
	id       string
	job      string
	log      *slog.Logger
	names    *discovery.LabelNames
	metrics  *metrics
	fetcher  fetcher
	settings settings
	failures failureLog
	quiet    throttle.Log
	now      func() time.Time // time.Now

	budget     *Budget
	crowded    chan struct{} // has a token when a target has to give up its memory
	contents   sync.Pool     // of *scratch
	remembered atomic.Int64  // series
	running    sync.WaitGroup

	mu sync.Mutex
	// targets and refused are guarded by mu; only the scheduler writes them.
	targets map[string]*target
	refused error // why no target is scraped; nil if they are
}

// scratch is what a scrape needs while it runs.
type scratch struct {
	content content
	builder *labels.Builder
}

//go:embed prometheus.scrape.md
var docPage string

func definition(b *Budget) component.Definition {
	return component.Define("prometheus.scrape", b.New, component.Doc{Page: docPage})
}

// New makes a scraper that shares the budget, and starts nothing.
func (b *Budget) New(cfg Config, o component.Options) (*Scraper, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := cfg.HTTPClient.NewLater(o.ID, o.UserAgent)
	if err != nil {
		return nil, err
	}
	client.Transport = newRouted(o.Listeners.Memory(), client.Transport)
	if cfg.HTTPClient.FollowRedirects {
		client.CheckRedirect = httpclient.FollowOwn
	}
	if cfg.EnableProtobufNegotiation {
		o.Warn("enable_protobuf_negotiation", "it is deprecated: set scrape_native_histograms = true instead")
	}
	if cfg.Clustering.Enabled {
		o.Warn("clustering/enabled", "clustering is not supported: this collector scrapes all of its targets, and so does every other one with the same configuration")
	}
	s := &Scraper{
		cfg: cfg, id: o.ID, job: cfg.JobName, log: o.Logger, names: discovery.NewLabelNames(cfg.validation(), o.Logger),
		fetcher: fetcher{
			client: client, accept: cfg.accept(), encoding: cfg.acceptEncoding(),
			userAgent: o.UserAgent, bodyLimit: int64(cfg.BodySizeLimit), ceiling: int64(largestPage),
		},
		settings: settings{
			honorTimestamps: cfg.HonorTimestamps, fallback: cfg.fallbackMediaType(),
			sampleLimit: int(cfg.SampleLimit), bucketLimit: int(cfg.NativeHistogramBucketLimit),
			maxSchema: cfg.maxSchema(), nativeHists: cfg.ScrapeNativeHistograms,
			classicHists: cfg.ScrapeClassicHistograms, toNHCB: cfg.ConvertClassicHistogramsToNHCB,
		},
		targets: make(map[string]*target), now: time.Now, budget: b, crowded: make(chan struct{}, 1),
	}
	if s.job == "" {
		s.job = o.ID
	}
	s.failures = failureLog{path: cfg.ScrapeFailureLogFile, job: s.job}
	s.contents.New = func() any { return &scratch{builder: labels.NewBuilder(labels.EmptyLabels())} }
	s.metrics = newMetrics(o.Metrics, func() float64 { return float64(s.remembered.Load()) })
	return s, nil
}

// scrape scrapes a target once, and forwards the samples.
func (s *Scraper) scrape(t *target, e endpoint, due time.Time, refused error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	start := s.now()
	at := start
	// A timer's slight lateness is removed, as regular timestamps compress better. due
	// itself may show a time from before the clock was set.
	if late := start.Sub(due); late >= 0 && late <= min(e.interval/100, 2*time.Millisecond) {
		at = start.Add(-late)
	}
	if !t.last.IsZero() {
		s.metrics.interval.WithLabelValues(e.interval.String()).Observe(start.Sub(t.last).Seconds())
	}
	t.last = start
	sc := s.contents.Get().(*scratch)
	defer s.contents.Put(sc)
	sc.content.reset()

	outcome := s.collect(t, e, sc, at, refused)
	s.settle(t, outcome.err)
	if outcome.interrupted {
		return
	}
	outcome.took = s.now().Sub(start)
	s.note(t, e, at, outcome)
	s.addReport(t, e, sc, at.UnixMilli(), outcome)
	s.forward(t.ctx, t, sc, e.interval)
	sc.content.resetSamples()
}

// outcome is the outcome of a scrape.
type outcome struct {
	bytes int
	took  time.Duration
	err   error
	why   string // the reason of err, if it has none
	added int
	// interrupted means that the target was removed or the component stopped before the
	// page was there. A result of such a scrape would be wrong. A target that had all of
	// its timeout has failed, whatever ends in the meantime.
	interrupted bool
}

// collect gets and reads the page.
func (s *Scraper) collect(t *target, e endpoint, sc *scratch, at time.Time, refused error) outcome {
	track := s.cfg.TrackTimestampsStaleness
	out := &sc.content
	if err := cmp.Or(refused, t.claim.admit()); err != nil {
		t.history.markAllStale(out, at.UnixMilli(), track)
		return outcome{err: err}
	}
	ctx, cancel := t.fetching(e.timeout)
	got, err := s.fetcher.fetch(ctx, &e, t.size, t.claim)
	late := errors.Is(ctx.Err(), context.DeadlineExceeded)
	cancel()
	if err != nil && t.ctx.Err() != nil && !late {
		return outcome{interrupted: true}
	}
	if err != nil {
		t.history.markAllStale(out, at.UnixMilli(), track)
		o := outcome{err: err, why: failedUnreachable}
		if errors.Is(err, errBodySizeLimit) {
			o.bytes = -1
		}
		return o
	}
	defer s.fetcher.buffers.put(got.page)
	if len(got.page) > 0 {
		t.size = len(got.page)
	}
	r := &reader{
		settings: &s.settings, target: e.labels, out: out, now: at.UnixMilli(), claim: t.claim,
		rules: s.rules(sc.builder),
	}
	before := t.history.count
	walked, err := t.history.read(r, got.page, got.contentType, track)
	if p := (*cause.Page)(nil); errors.As(err, &p) {
		p.From = got.from
	}
	s.remembered.Add(int64(t.history.count - before))
	if walked {
		s.metrics.pagesFast.Inc()
	} else {
		s.metrics.pagesFull.Inc()
	}
	s.metrics.drop(reasonDuplicate, out.repeated)
	s.metrics.drop(reasonOutOfOrder, out.outOfOrder)
	s.metrics.drop(reasonOutOfBounds, out.outOfBounds)
	return outcome{bytes: len(got.page), err: err, added: out.added}
}

// rules are how series get their labels, by way of b.
func (s *Scraper) rules(b *labels.Builder) *rules {
	return &rules{
		honorLabels: s.cfg.HonorLabels, names: s.cfg.validation(), labelLimit: int(s.cfg.LabelLimit),
		nameLengthMax: int(s.cfg.LabelNameLengthLimit), valLengthMax: int(s.cfg.LabelValueLengthLimit), builder: b,
	}
}

// settle makes a target hold what is remembered of it from now on: nothing, if there is
// no room for it.
func (s *Scraper) settle(t *target, err error) {
	if errors.Is(err, errMemory) {
		s.remembered.Add(int64(-t.history.count))
		t.history, t.size = history{}, 0
	}
	t.claim.settle(t.history.size())
}

// note keeps the outcome for the UI, counts it, and logs when a target starts or stops
// failing.
func (s *Scraper) note(t *target, e endpoint, at time.Time, o outcome) {
	if o.err != nil {
		s.metrics.fail(o.err, cmp.Or(o.why, failedPage))
	}
	t.state.Lock()
	before := t.state.health
	t.state.health, t.state.err = healthUp, o.err
	if o.err != nil {
		t.state.health = healthDown
	}
	t.state.at, t.state.took, t.state.samples = at, o.took, o.added
	t.state.Unlock()
	switch {
	case o.err != nil:
		if before != healthDown {
			why := e.causeOf(o.err)
			s.quiet.Warn(s.log, e.key, "scrape failed", "target", mask.WithoutPasswords(e.url), "cause", why.Text, "fix", why.Fix, "err", mask.WithoutPasswords(o.err.Error()))
		}
		if err := s.failures.write(mask.WithoutPasswords(e.url), o.err); err != nil {
			s.quiet.Warn(s.log, "", "write scrape_failure_log_file", "err", err)
		}
	case before == healthDown:
		s.quiet.Log(s.log, slog.LevelInfo, e.key, "scrape recovered", "target", mask.WithoutPasswords(e.url))
	}
}

// reportNames are the series that describe a scrape; the last three only with
// extra_metrics.
func reportNames() []string {
	return []string{
		"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added",
		"scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes",
	}
}

const plainReports = 5

func (s *Scraper) addReport(t *target, e endpoint, sc *scratch, at int64, o outcome) {
	if t.reports == nil {
		names := reportNames()
		if !s.cfg.ExtraMetrics {
			names = names[:plainReports]
		}
		for _, name := range names {
			t.reports = append(t.reports, pipeline.NewSeries(reportLabels(sc.builder, e.labels, name)))
			sc.content.metadata = append(sc.content.metadata, pipeline.Metadata{Family: name, Type: model.MetricTypeGauge, Help: reportHelp(name)})
		}
	}
	up := 1.0
	if o.err != nil {
		up = 0
	}
	c := &sc.content
	values := [...]float64{
		up, o.took.Seconds(), float64(c.total), float64(c.added), float64(c.fresh),
		e.timeout.Seconds(), float64(s.cfg.SampleLimit), float64(o.bytes),
	}
	for i, series := range t.reports {
		c.samples = append(c.samples, pipeline.Sample{Series: series, T: at, V: values[i]})
	}
}

func reportHelp(name string) string {
	switch name {
	case "up":
		return "1 if the last scrape of the target succeeded, 0 if it failed."
	case "scrape_duration_seconds":
		return "How long the scrape took."
	case "scrape_samples_scraped":
		return "Samples on the page."
	case "scrape_samples_post_metric_relabeling":
		return "Samples on the page that were kept."
	case "scrape_series_added":
		return "Series on the page that were not on the one before."
	case "scrape_timeout_seconds":
		return "The time that a scrape may take."
	case "scrape_sample_limit":
		return "The number of samples that a page may have; 0 without a limit."
	}
	return "Size of the uncompressed page; -1 if it was over the limit."
}

// origin is what receivers may need to know about a target. They see the metadata on its
// page only with honor_metadata.
func (s *Scraper) origin(t *target) *pipeline.Origin {
	e := t.endpoint()
	scheme, _, _ := strings.Cut(e.url, ":")
	return &pipeline.Origin{
		Job: e.labels.Get(model.JobLabel), Instance: e.labels.Get(model.InstanceLabel), Scheme: scheme,
		Describe: func(family string) (pipeline.Metadata, bool) {
			if slices.Contains(reportNames(), family) {
				return pipeline.Metadata{Family: family, Type: model.MetricTypeGauge, Help: reportHelp(family), Unit: reportUnit(family)}, true
			}
			m, ok := t.history.families[family]
			return m, ok && s.cfg.HonorMetadata
		},
	}
}

func reportUnit(name string) string {
	switch name {
	case "scrape_duration_seconds", "scrape_timeout_seconds":
		return "seconds"
	case "scrape_body_size_bytes":
		return "bytes"
	}
	return ""
}

// end writes stale markers for everything the target had.
func (s *Scraper) end(ctx context.Context, t *target, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sc := s.contents.Get().(*scratch)
	defer s.contents.Put(sc)
	sc.content.reset()
	t.history.markAllStale(&sc.content, at.UnixMilli(), s.cfg.TrackTimestampsStaleness)
	for _, series := range t.reports {
		sc.content.samples = append(sc.content.samples, staleMarker(series, at.UnixMilli()))
	}
	s.remembered.Add(int64(-t.history.count))
	t.claim.settle(0)
	if len(sc.content.samples) > 0 {
		s.forward(ctx, t, sc, t.endpoint().interval)
	}
	sc.content.resetSamples()
}

// shutdownGrace is how long receivers may take for the last scrapes when the
// component stops.
const shutdownGrace = 2 * time.Second

// forwardPatience is how long receivers may take at least: a queue is just being
// opened, or waits for a slow disk.
const forwardPatience = 5 * time.Second

// forward gives a scrape to all receivers, each on its own. A receiver that is not done
// after half an interval loses the scrape, so that it costs the other receivers no
// scrapes except those within forwardPatience.
func (s *Scraper) forward(ctx context.Context, t *target, sc *scratch, interval time.Duration) {
	c := &sc.content
	for _, name := range t.history.pending {
		if m, ok := t.history.families[name]; ok {
			c.metadata = append(c.metadata, m)
		}
	}
	batch := pipeline.Metrics{Samples: c.samples, Histograms: c.histograms, Exemplars: c.exemplars, Metadata: c.metadata, Origin: s.origin(t)}
	wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(interval/2, forwardPatience))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(shutdownGrace, cancel) })
	defer stop()
	start := time.Now()
	errs := pipeline.Each(wctx, s.cfg.ForwardTo, func(ctx context.Context, to pipeline.MetricsSink) error { return to.WriteMetrics(ctx, batch) })
	s.metrics.fanoutLatency.Observe(time.Since(start).Seconds())
	failed := 0
	for i, err := range errs {
		if err == nil {
			s.metrics.forwarded.Add(float64(batch.Items()))
			continue
		}
		failed++
		s.metrics.forwardErrors.Inc()
		s.metrics.drop(reasonForwardFailed, batch.Items())
		s.quiet.Warn(s.log, strconv.Itoa(i), "a receiver rejected a scrape", "forward_to", i+1, "samples", batch.Items(), "err", err)
	}
	if failed == 0 {
		t.history.pending = nil
	}
}
