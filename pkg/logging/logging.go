// Package logging is the collector's own log: slog records as logfmt or JSON
// on standard error, and to Loki receivers where the configuration says so.
package logging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

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
		err = errors.Join(err, fmt.Errorf("format %q is unknown: use \"logfmt\" or \"json\"", c.Format))
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
	return 0, fmt.Errorf("level %q is unknown: use \"debug\", \"info\", \"warn\" or \"error\"", s)
}

// Log is where all loggers of the program write. Its settings change with the
// configuration; loggers made earlier follow.
type Log struct {
	mu     sync.Mutex
	out    io.Writer
	config Config
	level  slog.Level
	lines  chan line // to the sinks of config.WriteTo; nil without any
	// early is what was written before the first logging block came into force,
	// for its sinks. It is nil from then on.
	early []line
	// lost counts lines that no sink was quick enough to take.
	lost   int
	recent recent
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
	return l
}

// Logger returns a logger that writes to l.
func (l *Log) Logger() *slog.Logger { return slog.New(&handler{log: l}) }

// apply makes c the settings in force and returns the lines for its sinks.
func (l *Log) apply(c Config) <-chan line {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config = c
	l.level, _ = parseLevel(c.Level) // Validate has accepted it
	l.lines, l.lost = nil, 0
	if len(c.WriteTo) > 0 {
		l.lines = make(chan line, backlog)
		for _, early := range l.early {
			l.lines <- early
		}
	}
	l.early = nil
	return l.lines
}

func (l *Log) write(t time.Time, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.Write(text) // there is nowhere to report that standard error fails
	written := line{t, strings.TrimSuffix(string(text), "\n")}
	l.recent.add(written.text)
	if l.early != nil && len(l.early) < maxEarly {
		l.early = append(l.early, written)
	}
	if l.lines == nil {
		return
	}
	select {
	case l.lines <- written:
	default:
		l.lost++
	}
}

func (l *Log) takeLost() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.lost
	l.lost = 0
	return n
}

// Component puts one logging block into force while it runs.
type Component struct {
	log    *Log
	config Config
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
	lines := c.log.apply(c.config)
	defer func() {
		var defaults Config
		defaults.SetToDefault()
		c.log.apply(defaults)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLines)
		defer cancel()
		if len(lines) > 0 {
			c.forward(ctx, <-lines, lines)
		}
	}()
	for {
		select {
		case l := <-lines:
			c.forward(ctx, l, lines)
		case <-ctx.Done():
			return nil
		}
	}
}

// forward sends first and whatever waits behind it as one batch to each sink.
func (c *Component) forward(ctx context.Context, first line, more <-chan line) {
	entries := []pipeline.Entry{{Time: first.time, Line: first.text}}
	for range len(more) {
		l := <-more
		entries = append(entries, pipeline.Entry{Time: l.time, Line: l.text})
	}
	if n := c.log.takeLost(); n > 0 {
		text := fmt.Sprintf("level=warn msg=\"log lines were not sent to the receivers of logging > write_to, which did not keep up\" lines=%d", n)
		entries = append(entries, pipeline.Entry{Time: time.Now(), Line: text})
	}
	// Alloy's own log carries this label; dashboards select by it.
	logs := pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromStrings("component", "alloy"), Entries: entries}}}
	for _, sink := range c.config.WriteTo {
		// An error would have to be logged, and so come back here.
		_ = pipeline.Offer(ctx, sink, func(ctx context.Context, s pipeline.LogsSink) error { return s.WriteLogs(ctx, logs) })
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
	if err := inner.Handle(ctx, r); err != nil {
		return err
	}
	h.log.write(r.Time, buf.Bytes())
	return nil
}

// asAlloyWrites names the time ts, in UTC, and writes levels in lower case.
func asAlloyWrites(groups []string, a slog.Attr) slog.Attr {
	switch {
	case len(groups) > 0:
	case a.Key == slog.TimeKey:
		return slog.String("ts", a.Value.Time().UTC().Format(time.RFC3339Nano))
	case a.Key == slog.LevelKey:
		return slog.String(slog.LevelKey, strings.ToLower(a.Value.String()))
	}
	return a
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
