// Package tracing is the block tracing: it makes spans of what the collector itself does
// and sends them to components. Nothing waits for these: what they don't accept in time
// is dropped and counted.
package tracing

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"collector/pkg/component"
	"collector/pkg/pipeline"
	"collector/pkg/spans"
)

// serviceName is Alloy's, as dashboards select by it.
const serviceName = "alloy"

// Config is the block tracing.
type Config struct {
	SamplingFraction float64             `alloy:"sampling_fraction,attr,optional"`
	Sampler          Sampler             `alloy:"sampler,block,optional"`
	WriteTo          []pipeline.OTLPSink `alloy:"write_to,attr,optional"`
}

// Sampler chooses another sampler than the fraction.
type Sampler struct {
	JaegerRemote *JaegerRemote `alloy:"jaeger_remote,block,optional"`
}

// JaegerRemote asks a server how to sample.
type JaegerRemote struct {
	URL             string        `alloy:"url,attr,optional"`
	MaxOperations   int           `alloy:"max_operations,attr,optional"`
	RefreshInterval time.Duration `alloy:"refresh_interval,attr,optional"`
}

// SetToDefault keeps a tenth of the traces.
func (c *Config) SetToDefault() { *c = Config{SamplingFraction: 0.1} }

// SetToDefault sets the defaults.
func (c *JaegerRemote) SetToDefault() {
	*c = JaegerRemote{URL: "http://127.0.0.1:5778/sampling", MaxOperations: 256, RefreshInterval: time.Minute}
}

// Validate rejects settings with which no server can be asked.
func (c *JaegerRemote) Validate() error {
	var errs []error
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, component.At("url", fmt.Errorf("%q is not a valid URL; for example: %q", c.URL, "http://jaeger:5778/sampling")))
	}
	if c.RefreshInterval <= 0 {
		errs = append(errs, component.At("refresh_interval", fmt.Errorf("%s is not above zero", c.RefreshInterval)))
	}
	return errors.Join(errs...)
}

//go:embed tracing.md
var docPage string

// Components are the blocks that turn on spans. version is the program's.
func Components(version string) []component.Definition {
	construct := func(c Config, o component.Options) (*Component, error) { return New(c, version, o), nil }
	return []component.Definition{component.DefineBlock("tracing", construct, component.Doc{Page: docPage})}
}

// Component turns spans on while it runs.
type Component struct {
	config   Config
	version  string
	spans    *spans.Provider
	recorder *recorder
	sampler  sdktrace.Sampler
	remote   *remote // nil: the sampler stays as it is
}

// New makes the component for a block tracing.
func New(c Config, version string, o component.Options) *Component {
	o = o.WithDefaults()
	t := &Component{config: c, version: version, spans: o.Spans, recorder: newRecorder(c.WriteTo, o)}
	t.sampler = sdktrace.TraceIDRatioBased(c.SamplingFraction)
	if c.Sampler.JaegerRemote != nil {
		t.remote = newRemote(*c.Sampler.JaegerRemote, t.sampler, o)
		t.sampler = t.remote
	}
	return t
}

// lastSpans is how long the receivers may take for waiting spans when the component
// stops.
const lastSpans = time.Second

// Run turns spans on until ctx ends, and sends those that are waiting.
func (c *Component) Run(ctx context.Context) error {
	if len(c.config.WriteTo) == 0 {
		<-ctx.Done()
		return nil
	}
	about, err := c.resource(ctx)
	if err != nil {
		return fmt.Errorf("describe the process: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(c.recorder),
		sdktrace.WithSampler(sdktrace.ParentBased(c.sampler)),
		sdktrace.WithResource(about),
	)
	var polling sync.WaitGroup
	defer polling.Wait()
	if c.remote != nil {
		polling.Go(func() { c.remote.run(ctx) })
	}
	c.spans.Use(provider)
	rest := c.recorder.send(ctx)
	c.spans.Use(nil)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSpans)
	defer cancel()
	c.recorder.flush(last, rest)
	return provider.Shutdown(last)
}

func (c *Component) resource(ctx context.Context) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", serviceName), attribute.String("service.version", c.version)),
		resource.WithProcessRuntimeDescription(),
		resource.WithTelemetrySDK(),
	)
}

// Status is what the debug UI shows.
func (c *Component) Status() any {
	s := struct {
		Sampler      string `json:"sampler"`
		Sampled      uint64 `json:"sampled_spans"`
		Dropped      uint64 `json:"dropped_spans"`
		Waiting      int    `json:"waiting_spans"`
		SamplerError string `json:"sampler_error,omitempty"`
	}{c.sampler.Description(), c.recorder.sampled.Load(), c.recorder.lost.Load(), len(c.recorder.queue), ""}
	if err := c.Health(); err != nil {
		s.SamplerError = err.Error()
	}
	return s
}

// Health is why the server of the sampler cannot be read.
func (c *Component) Health() error {
	if c.remote == nil {
		return nil
	}
	return c.remote.failure()
}
