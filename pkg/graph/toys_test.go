package graph

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
)

// toys is a table of components that only record what is done to them.
type toys struct {
	mu   sync.Mutex
	log  []string
	live map[string]any // components by id, the last one made
}

func newToys() *toys { return &toys{live: map[string]any{}} }

func (t *toys) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, fmt.Sprintf(format, args...))
}

func (b *base) options() component.Options { return b.o }

// take returns what was recorded since the last call.
func (t *toys) take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	log := t.log
	t.log = nil
	return log
}

func (t *toys) made(id string, c any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live[id] = c
}

func (t *toys) get(id string) any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live[id]
}

func (t *toys) definitions() []component.Definition {
	return []component.Definition{
		component.Define("toy.targets", t.newTargets, component.Doc{Exports: []component.Export{{Name: "targets", Type: "list(map(string))"}}}),
		component.Define("toy.relabel", t.newRelabel, component.Doc{}),
		component.Define("toy.logs", t.newLogs, component.Doc{Exports: []component.Export{{Name: "receiver", Type: "LogsReceiver"}}}),
		component.Define("toy.samples", t.newSamples, component.Doc{}),
		component.Define("toy.source", t.newSource, component.Doc{}),
		component.Define("toy.scrape", t.newScrape, component.Doc{}),
		component.Define("toy.value", t.newValue, component.Doc{}),
		component.Define("toy.fragile", t.newFragile, component.Doc{}),
		component.Define("toy.dynamic", t.newDynamic, component.Doc{}),
		component.Define("import.text", t.newImport, component.Doc{}),
		component.DefineBlock("logging", t.newLogging, component.Doc{}),
		component.DefineBlock("toy_host", t.newHost, component.Doc{}),
	}
}

// base is what all toys have in common.
type base struct {
	toys *toys
	o    component.Options
	stop chan struct{} // holds back the end of Run until it is closed; may be nil
	fail chan error    // ends Run
}

func (t *toys) base(o component.Options) base {
	o = o.WithDefaults()
	t.note("new %s", o.ID)
	return base{toys: t, o: o, fail: make(chan error)}
}

func (b *base) Run(ctx context.Context) error {
	b.toys.note("run %s", b.o.ID)
	defer b.toys.note("end %s", b.o.ID)
	select {
	case <-ctx.Done():
	case err := <-b.fail:
		return err
	}
	if b.stop != nil {
		<-b.stop
	}
	return nil
}

type targetsConfig struct {
	List []map[string]string `alloy:"list,attr,optional"`
}

type toyTargets struct {
	base
	set *discovery.Set
}

func (t *toys) newTargets(c targetsConfig, o component.Options) (*toyTargets, error) {
	made := &toyTargets{base: t.base(o), set: discovery.NewSet()}
	var list []discovery.Target
	for _, m := range c.List {
		list = append(list, labels.FromMap(m))
	}
	made.set.Replace(list)
	t.made(o.ID, made)
	return made, nil
}

func (t *toyTargets) Exports() map[string]any { return map[string]any{"targets": t.set} }

type relabelConfig struct {
	Targets *discovery.Set   `alloy:"targets,attr"`
	Rules   []discovery.Rule `alloy:"rule,block,optional"`
}

type toyRelabel struct {
	base
	config relabelConfig
	rules  *discovery.Rules
}

func (t *toys) newRelabel(c relabelConfig, o component.Options) (*toyRelabel, error) {
	rules, err := discovery.Compile(c.Rules)
	made := &toyRelabel{base: t.base(o), config: c, rules: rules}
	t.made(o.ID, made)
	return made, err
}

func (t *toyRelabel) Exports() map[string]any {
	return map[string]any{"output": t.config.Targets, "rules": t.rules}
}

type endpoint struct {
	URL      string            `alloy:"url,attr"`
	Password component.Secret  `alloy:"password,attr,optional"`
	Headers  map[string]string `alloy:"headers,attr,optional"`
	Wait     time.Duration     `alloy:"wait,attr,optional"`
	Size     component.Bytes   `alloy:"size,attr,optional"`
	Queue    queueConfig       `alloy:"queue_config,block,optional"`
}

func (e *endpoint) SetToDefault() {
	*e = endpoint{Wait: time.Minute, Size: component.MiB, Queue: queueConfig{Shards: 4}}
}

func (e *endpoint) Validate() error {
	if e.URL == "" {
		return component.At("url", errors.New("must not be empty"))
	}
	return nil
}

type queueConfig struct {
	Shards uint8 `alloy:"shards,attr,optional"`
}

func (q *queueConfig) SetToDefault() { *q = queueConfig{Shards: 7} }

type walConfig struct {
	Enabled bool `alloy:"enabled,attr,optional"`
}

type logsConfig struct {
	Endpoints  []endpoint        `alloy:"endpoint,block,optional"`
	External   map[string]string `alloy:"external_labels,attr,optional"`
	MaxStreams int               `alloy:"max_streams,attr,optional"`
	WAL        *walConfig        `alloy:"wal,block,optional"`
}

func (c *logsConfig) Validate() error {
	if c.MaxStreams < 0 {
		return component.At("max_streams", errors.New("must not be negative"))
	}
	return nil
}

type toyLogs struct{ base }

func (t *toys) newLogs(c logsConfig, o component.Options) (*toyLogs, error) {
	for i, e := range c.Endpoints {
		if e.URL == "bad" {
			return nil, component.At(component.Block("endpoint", i)+"/url", errors.New("cannot be bad"))
		}
	}
	made := &toyLogs{t.base(o)}
	if c.WAL != nil && c.WAL.Enabled {
		made.o.Warn("wal/enabled", "there is a queue already")
	}
	t.made(o.ID, made)
	return made, nil
}

func (t *toyLogs) Exports() map[string]any { return map[string]any{"receiver": t} }

func (t *toyLogs) WriteLogs(context.Context, pipeline.Logs) error { return nil }

type samplesConfig struct{}

type toySamples struct{ base }

func (t *toys) newSamples(_ samplesConfig, o component.Options) (*toySamples, error) {
	made := &toySamples{t.base(o)}
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "toy_samples_total", Help: "Samples."})
	o.Metrics.MustRegister(c)
	c.Inc()
	t.made(o.ID, made)
	return made, nil
}

func (t *toySamples) Exports() map[string]any { return map[string]any{"receiver": t} }

func (t *toySamples) WriteMetrics(context.Context, pipeline.Metrics) error { return nil }

type common struct {
	Timeout time.Duration `alloy:"timeout,attr,optional"`
}

type sourceConfig struct {
	ForwardTo []pipeline.LogsSink `alloy:"forward_to,attr"`
	Host      string              `alloy:"host,attr"`
	Targets   *discovery.Set      `alloy:"targets,attr,optional"`
	Rules     *discovery.Rules    `alloy:"relabel_rules,attr,optional"`
	Protocols []string            `alloy:"protocols,attr,optional"`
	Ratio     float64             `alloy:"ratio,attr,optional"`
	Anything  any                 `alloy:"anything,attr,optional"`
	Common    common              `alloy:",squash"`
}

func (c *sourceConfig) SetToDefault() {
	*c = sourceConfig{Protocols: []string{"a", "b"}, Ratio: 0.5, Common: common{Timeout: 5 * time.Second}}
}

type toySource struct {
	base
	config   sourceConfig
	listener net.Listener
}

func (t *toys) newSource(c sourceConfig, o component.Options) (*toySource, error) {
	made := &toySource{base: t.base(o), config: c}
	t.made(o.ID, made)
	return made, nil
}

func (t *toySource) Bind() error {
	if t.config.Host == "taken" {
		return component.At("host", errors.New("the port is in use"))
	}
	if port, ok := strings.CutPrefix(t.config.Host, "listen:"); ok {
		var err error
		t.listener, err = t.o.Listeners.Listen("tcp", "127.0.0.1:"+port, t.o.ID)
		return err
	}
	t.toys.note("bind %s", t.o.ID)
	return nil
}

func (t *toySource) Run(ctx context.Context) error {
	if t.listener != nil {
		defer t.listener.Close()
	}
	return t.base.Run(ctx)
}

func (t *toySource) Close() {
	t.toys.note("close %s", t.o.ID)
	if t.listener != nil {
		t.listener.Close()
	}
}

func (t *toySource) Status() any { return map[string]int{"lines": 3} }

type scrapeConfig struct {
	ForwardTo []pipeline.MetricsSink `alloy:"forward_to,attr"`
	Targets   *discovery.Set         `alloy:"targets,attr"`
}

type toyScrape struct {
	base
	config scrapeConfig
}

func (t *toys) newScrape(c scrapeConfig, o component.Options) (*toyScrape, error) {
	made := &toyScrape{base: t.base(o), config: c}
	t.made(o.ID, made)
	return made, nil
}

type valueConfig struct {
	Value  any    `alloy:"value,attr,optional"`
	Secret string `alloy:"secret_text,attr,optional"`
}

type toyValue struct {
	base
	exports map[string]any
}

func (t *toys) newValue(c valueConfig, o component.Options) (*toyValue, error) {
	return &toyValue{t.base(o), map[string]any{"value": c.Value, "secret": component.Secret(c.Secret)}}, nil
}

func (t *toyValue) Exports() map[string]any { return t.exports }

type fragileConfig struct {
	Panic bool `alloy:"panic,attr,optional"`
}

type toyFragile struct {
	base
	mu      sync.Mutex
	problem error
}

func (t *toys) newFragile(c fragileConfig, o component.Options) (*toyFragile, error) {
	if c.Panic {
		panic("fragile")
	}
	made := &toyFragile{base: t.base(o)}
	t.made(o.ID, made)
	return made, nil
}

func (t *toyFragile) Health() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.problem
}

type loggingConfig struct {
	Level   string              `alloy:"level,attr,optional"`
	WriteTo []pipeline.LogsSink `alloy:"write_to,attr,optional"`
}

func (c *loggingConfig) SetToDefault() { c.Level = "info" }

func (c *loggingConfig) Validate() error {
	if c.Level != "info" && c.Level != "debug" {
		return component.At("level", fmt.Errorf("%q is unknown: use \"info\" or \"debug\"", c.Level))
	}
	return nil
}

func (t *toys) newLogging(_ loggingConfig, o component.Options) (*toyLogs, error) {
	return &toyLogs{t.base(o)}, nil
}

type panicking struct{}

func (*panicking) Run(context.Context) error { panic("oops") }

func toyKinds() []pipeline.Kind { return slices.Concat(pipeline.Kinds(), discovery.Kinds()) }

// toyDynamic exports a value that changes.
type toyDynamic struct {
	base
	now any
}

func (t *toys) newDynamic(c valueConfig, o component.Options) (*toyDynamic, error) {
	made := &toyDynamic{base: t.base(o), now: c.Value}
	t.made(o.ID, made)
	return made, nil
}

func (d *toyDynamic) Exports() map[string]any {
	d.toys.mu.Lock()
	defer d.toys.mu.Unlock()
	return map[string]any{"value": d.now}
}

// set changes what d exports.
func (d *toyDynamic) set(v any) {
	d.toys.mu.Lock()
	d.now = v
	d.toys.mu.Unlock()
	d.o.Changed()
}

type importConfig struct {
	Text string `alloy:"text,attr"`
	Key  string `alloy:"key,attr,optional"`
	Path string `alloy:"path,attr,optional"`
}

// toyImport is a module whose text is an argument.
type toyImport struct {
	base
	config importConfig
	kept   string
}

func (t *toys) newImport(c importConfig, o component.Options) (*toyImport, error) {
	made := &toyImport{base: t.base(o), config: c}
	t.made(o.ID, made)
	return made, nil
}

func (i *toyImport) Module() component.Module {
	i.toys.mu.Lock()
	defer i.toys.mu.Unlock()
	key := i.config.Key
	if key == "" {
		key = i.o.ID
	}
	return component.Module{Key: key, Path: i.config.Path, Files: []component.ModuleFile{{Name: key, Text: []byte(i.config.Text)}}}
}

func (i *toyImport) Keep(m component.Module) {
	i.toys.mu.Lock()
	defer i.toys.mu.Unlock()
	i.kept = string(m.Files[0].Text)
}

// set changes the text.
func (i *toyImport) set(text string) {
	i.toys.mu.Lock()
	i.config.Text = text
	i.toys.mu.Unlock()
	i.o.Changed()
}

type hostConfig struct {
	Name string `alloy:"name,attr,optional"`
}

// toyHost loads what a test says.
type toyHost struct {
	base
	given   chan component.Load // each time
	running func() bool
}

func (t *toys) newHost(_ hostConfig, o component.Options) (*toyHost, error) {
	made := &toyHost{base: t.base(o), given: make(chan component.Load, 10)}
	t.made(o.ID, made)
	return made, nil
}

func (h *toyHost) Beside(load component.Load, running func() bool) {
	h.running = running
	h.given <- load
}
