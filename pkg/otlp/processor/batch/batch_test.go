package batch

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

func newBatch(t *testing.T, change func(*Config), sinks ...pipeline.OTLPSink) (*Processor, *prometheus.Registry) {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Output = otlptest.All(sinks...)
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	metrics := prometheus.NewRegistry()
	b, err := New(c, component.Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return b, metrics
}

func TestBatchForwardsAtOnceWithANote(t *testing.T) {
	var to otlptest.Sink
	b, _ := newBatch(t, func(c *Config) { c.SendBatchMaxSize = 9000 }, &to)
	if err := b.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs, Data: []byte("x"), Items: 3}); err != nil {
		t.Fatal(err)
	}
	want := pipeline.OTLP{
		Signal: pipeline.SignalLogs, Data: []byte("x"), Items: 3,
		Batching: &pipeline.Batching{Timeout: 200 * time.Millisecond, MinItems: 2000, MaxItems: 9000},
	}
	if diff := cmp.Diff(want, to.One(t), cmpopts.IgnoreUnexported(pipeline.OTLP{})); diff != "" {
		t.Error(diff)
	}
}

func TestBatchReturnsErrorsToItsSender(t *testing.T) {
	to := otlptest.Sink{Err: pipeline.ErrFull}
	b, _ := newBatch(t, nil, &to)
	if err := b.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs}); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
}

func TestBatchCountsWhatHasNoOutput(t *testing.T) {
	var to otlptest.Sink
	b, metrics := newBatch(t, func(c *Config) { c.Output = flow.Output{Traces: []pipeline.OTLPSink{&to}} })
	if err := b.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs, Items: 4}); err != nil {
		t.Fatal(err)
	}
	if n := otlptest.Counter(t, metrics, "otelcol_processor_batch_lost_items_total", "no_output"); n != 4 {
		t.Errorf("%v lost items counted, want 4", n)
	}
}

// from is a context with the metadata of a client.
func from(md map[string][]string) context.Context {
	return flow.WithMetadata(context.Background(), md)
}

func TestBatchGroupsByMetadata(t *testing.T) {
	var to otlptest.Sink
	b, metrics := newBatch(t, func(c *Config) {
		c.MetadataKeys = []string{"Tenant", "zone"}
		c.MetadataCardinalityLimit = 5
	}, &to)
	clients := []map[string][]string{
		{"tenant": {"a"}}, {"tenant": {"b"}}, {"tenant": {"a"}, "other": {"x"}}, {"zone": {"a"}}, {}, {"tenant": {"a", "b"}},
	}
	for _, md := range clients {
		if err := b.WriteOTLP(from(md), pipeline.OTLP{Signal: pipeline.SignalTraces}); err != nil {
			t.Fatal(err)
		}
	}
	groups := make(map[string]int)
	for _, r := range to.Got() {
		groups[r.Group]++
	}
	if len(groups) != 5 || to.Got()[0].Group != to.Got()[2].Group {
		t.Errorf("groups %v", groups)
	}
	if n := otlptest.Counter(t, metrics, "otelcol_processor_batch_metadata_cardinality", ""); n != 5 {
		t.Errorf("cardinality %v, want 5", n)
	}
	err := b.WriteOTLP(from(map[string][]string{"tenant": {"new"}}), pipeline.OTLP{Signal: pipeline.SignalTraces})
	if !pipeline.IsPermanent(err) {
		t.Errorf("above the limit: %v", err)
	}
	if err := b.WriteOTLP(from(clients[1]), pipeline.OTLP{Signal: pipeline.SignalTraces}); err != nil {
		t.Errorf("a combination that was seen before: %v", err)
	}
}

func TestConfigsAreCheckedAndSayWhere(t *testing.T) {
	otlptest.Says(t, "", func(*Config) {})
	otlptest.Says(t, "send_batch_max_size: ", func(c *Config) { c.SendBatchMaxSize = 1 })
	otlptest.Says(t, "metadata_keys: ", func(c *Config) { c.MetadataKeys = []string{"a", "A"} })
}

// taker accepts requests and looks at none.
type taker struct{ taken int }

func (k *taker) WriteOTLP(context.Context, pipeline.OTLP) error {
	k.taken++
	return nil
}

func TestABatchProcessorReadsWhatLaterComponentsRead(t *testing.T) {
	b, _ := newBatch(t, func(c *Config) {
		c.Output = flow.Output{Traces: []pipeline.OTLPSink{&otlptest.Reader{}}, Logs: []pipeline.OTLPSink{&taker{}}}
	})
	for s, want := range map[pipeline.Signal]bool{pipeline.SignalTraces: true, pipeline.SignalLogs: false, pipeline.SignalMetrics: false} {
		if pipeline.ReadsOTLP(b, s) != want {
			t.Errorf("%s: %v", s, !want)
		}
	}
}

// Data that cannot be decoded shows that it is not: a receiver would reject it.
func TestWhatPassesIsNotDecoded(t *testing.T) {
	var got []pipeline.OTLP
	to := otlptest.SinkFunc(func(_ context.Context, r pipeline.OTLP) error { got = append(got, r); return nil })
	b, _ := newBatch(t, func(c *Config) { c.Output = otlptest.All(to, to) })
	out := flow.NewFanout(pipeline.SignalTraces, []pipeline.OTLPSink{b, to}, nil, nil)
	if err := out.WriteOTLP(context.Background(), pipeline.OTLP{Signal: pipeline.SignalTraces, Data: []byte("no protobuf")}); err != nil {
		t.Fatal(err)
	}
	for _, r := range got {
		if data, err := r.Bytes(); r.IsDecoded() || string(data) != "no protobuf" || err != nil {
			t.Errorf("got %q, %v, decoded: %v", data, err, r.IsDecoded())
		}
	}
	if len(got) != 3 {
		t.Errorf("%d requests", len(got))
	}
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	to := &otlptest.Gathering{}
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner {
			var c Config
			c.SetToDefault()
			c.Output = flow.Output{Traces: []pipeline.OTLPSink{to}}
			b, err := New(c, component.Options{ID: "otelcol.processor.batch.test", Metrics: prometheus.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			return otlptest.WriteSpan(ctx, r.(*Processor), number)
		},
		Serve: to.Serve, Arrived: to.Got,
	}.TestPassing(t)
}
