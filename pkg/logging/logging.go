// Package logging is the collector's own log: slog records as logfmt or JSON
// on standard error, and to Loki receivers where the configuration says so.
// Logging waits for neither: what they don't take in time is dropped and counted.
package logging

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

// Config is the block logging.
type Config struct {
	Level   string              `alloy:"level,attr,optional"`
	Format  string              `alloy:"format,attr,optional"`
	WriteTo []pipeline.LogsSink `alloy:"write_to,attr,optional"`
}

// SetToDefault sets level info and format logfmt.
func (c *Config) SetToDefault() { *c = Config{Level: "info", Format: "logfmt"} }

// Validate reports an unknown level or format.
func (c *Config) Validate() error {
	_, err := parseLevel(c.Level)
	if !slices.Contains([]string{"logfmt", "json"}, c.Format) {
		err = errors.Join(err, component.At("format", fmt.Errorf("%q is unknown: use \"logfmt\" or \"json\"", c.Format)))
	}
	return err
}

func parseLevel(s string) (slog.Level, error) {
	switch s {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, component.At("level", fmt.Errorf("%q is unknown: use \"debug\", \"info\", \"warn\" or \"error\"", s))
}

// Log is where all loggers of the program write. Its settings change with the
// configuration; loggers made earlier follow.
type Log struct {
	mu     sync.Mutex
	out    io.Writer
	config Config
	level  slog.Level
	feeds  []*feed // to the sinks of config.WriteTo
	// early is what was written before the first logging block came into force,
	// for its sinks. It is nil from then on.
	early   []line
	dropped uint64 // lines that sinks did not get, ever
	recent  recent
}

// feed is the path to one sink of write_to. Each has its own, so that none blocks
// another.
type feed struct {
	sink  pipeline.LogsSink
	lines chan line
	lost  int // lines that the sink was not quick enough to take; guarded by Log.mu
}

type line struct {
	time time.Time
	text string
}

// backlog is how many lines may wait for the sinks of write_to. Logging never
// waits for them: a log that blocked would stop the parts that it reports on.
const backlog = 1000

// maxEarly is how many lines are kept for a first logging block, which may never
// come.
const maxEarly = 100

// New makes a log that writes to out in logfmt from level info.
func New(out io.Writer) *Log {
	l := &Log{out: out, early: []line{}}
	l.config.SetToDefault()
	if o, ok := out.(*Output); ok {
		o.describe(func(lost int) []byte {
			const text = "lines of the collector's own log were lost because they could not be written in time"
			record := slog.NewRecord(time.Now(), slog.LevelWarn, text, 0)
			record.AddAttrs(slog.Int("lines", lost))
			line, _ := (&handler{log: l}).format(context.Background(), record) // a record of ours has no error
			return line
		})
	}
	return l
}

// Register adds the log's own metrics.
func (l *Log) Register(r prometheus.Registerer) {
	const name, help = "collector_log_lines_dropped_total", "Lines of the collector's own log that were dropped because they could not be written in time."
	counter := func(to string, count func() uint64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{"to": to},
		}, func() float64 { return float64(count()) }))
	}
	counter("write_to", func() uint64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.dropped
	})
	if o, ok := l.out.(*Output); ok {
		counter("stderr", o.Dropped)
	}
}

// Logger returns a logger that writes to l.
func (l *Log) Logger() *slog.Logger { return slog.New(&handler{log: l}) }

// apply makes c the settings in force and returns what feeds its sinks.
func (l *Log) apply(c Config) []*feed {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config = c
	l.level, _ = parseLevel(c.Level) // Validate has accepted it
	l.feeds = nil
	for _, sink := range c.WriteTo {
		f := &feed{sink: sink, lines: make(chan line, backlog)}
		for _, early := range l.early {
			f.lines <- early
		}
		l.feeds = append(l.feeds, f)
	}
	l.early = nil
	return l.feeds
}

func (l *Log) write(t time.Time, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.Write(text) // an Output counts what it loses; there is nowhere else to report it
	written := line{t, strings.TrimSuffix(string(text), "\n")}
	l.recent.add(written.text)
	if l.early != nil && len(l.early) < maxEarly {
		l.early = append(l.early, written)
	}
	for _, f := range l.feeds {
		select {
		case f.lines <- written:
		default:
			f.lost++
			l.dropped++
		}
	}
}

// takeLost is how many lines f has lost since it was asked last.
func (l *Log) takeLost(f *feed) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := f.lost
	f.lost = 0
	return n
}

// lose counts lines that f's sink did not take. Others, which it never received, are
// counted already.
func (l *Log) lose(f *feed, lines, others int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.lost += lines + others
	l.dropped += uint64(lines)
}

// Component puts one logging block into force while it runs.
type Component struct {
	log    *Log
	config Config
}

//go:embed logging.md
var docPage string

func definition(log *Log) component.Definition {
	construct := func(c Config, o component.Options) (*Component, error) { return NewComponent(log, c, o) }
	return component.DefineBlock("logging", construct, component.Doc{Page: docPage})
}

// NewComponent makes the component for a logging block.
func NewComponent(log *Log, c Config, _ component.Options) (*Component, error) {
	return &Component{log: log, config: c}, nil
}

// lastLines is how long the sinks may take for the lines that wait when the
// component ends.
const lastLines = 200 * time.Millisecond

// Run applies the block's settings, carries log lines to its sinks until ctx
// ends, and then goes back to the defaults.
func (c *Component) Run(ctx context.Context) error {
	feeds := c.log.apply(c.config)
	var running sync.WaitGroup
	for _, f := range feeds {
		running.Go(func() { c.feed(ctx, f) })
	}
	<-ctx.Done()
	running.Wait()
	var defaults Config
	defaults.SetToDefault()
	c.log.apply(defaults)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLines)
	defer cancel()
	for _, f := range feeds {
		running.Go(func() {
			if len(f.lines) > 0 {
				c.forward(last, f, <-f.lines)
			}
		})
	}
	running.Wait()
	return nil
}

func (c *Component) feed(ctx context.Context, f *feed) {
	for {
		select {
		case l := <-f.lines:
			c.forward(ctx, f, l)
		case <-ctx.Done():
			return
		}
	}
}

// forward sends first and whatever waits behind it as one batch to f's sink.
func (c *Component) forward(ctx context.Context, f *feed, first line) {
	entries := []pipeline.Entry{{Time: first.time, Line: first.text}}
	for range len(f.lines) {
		l := <-f.lines
		entries = append(entries, pipeline.Entry{Time: l.time, Line: l.text})
	}
	lines := len(entries)
	n := c.log.takeLost(f)
	if n > 0 {
		text := fmt.Sprintf("level=warn msg=\"log lines were not sent to a receiver of logging > write_to, which did not keep up\" lines=%d", n)
		entries = append(entries, pipeline.Entry{Time: time.Now(), Line: text})
	}
	// Alloy's own log carries this label; dashboards select by it.
	logs := pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromStrings("component", "alloy"), Entries: entries}}}
	// An error is counted: logged, it would come back here.
	if err := pipeline.Offer(ctx, f.sink, func(ctx context.Context, s pipeline.LogsSink) error { return s.WriteLogs(ctx, logs) }); err != nil {
		c.log.lose(f, lines, n)
	}
}

// handler formats records with slog's own handlers, in the format in force.
type handler struct {
	log   *Log
	steps []func(slog.Handler) slog.Handler // WithAttrs and WithGroup calls
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	return level >= h.log.level
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	text, err := h.format(ctx, r)
	if err != nil {
		return err
	}
	h.log.write(r.Time, text)
	return nil
}

// format is r as a line in the format in force.
func (h *handler) format(ctx context.Context, r slog.Record) ([]byte, error) {
	h.log.mu.Lock()
	format := h.log.config.Format
	h.log.mu.Unlock()
	var buf bytes.Buffer
	options := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: asAlloyWrites}
	var inner slog.Handler = slog.NewTextHandler(&buf, options)
	if format == "json" {
		inner = slog.NewJSONHandler(&buf, options)
	}
	for _, step := range h.steps {
		inner = step(inner)
	}
	err := inner.Handle(ctx, r)
	return buf.Bytes(), err
}

// asAlloyWrites names the time ts, in UTC, writes levels in lower case, and omits
// secrets.
func asAlloyWrites(groups []string, a slog.Attr) slog.Attr {
	switch {
	case len(groups) > 0:
	case a.Key == slog.TimeKey:
		return slog.String("ts", a.Value.Time().UTC().Format(time.RFC3339Nano))
	case a.Key == slog.LevelKey:
		return slog.String(slog.LevelKey, strings.ToLower(a.Value.String()))
	}
	return clean(a)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(inner slog.Handler) slog.Handler { return inner.WithAttrs(attrs) })
}

func (h *handler) WithGroup(name string) slog.Handler {
	return h.with(func(inner slog.Handler) slog.Handler { return inner.WithGroup(name) })
}

func (h *handler) with(step func(slog.Handler) slog.Handler) slog.Handler {
	return &handler{log: h.log, steps: append(slices.Clip(h.steps), step)}
}
