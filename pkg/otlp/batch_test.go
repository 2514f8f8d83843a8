package otlp

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
	"collector/pkg/queue"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func newBatch(t *testing.T, change func(*BatchConfig), sinks ...pipeline.OTLPSink) (*Batch, *prometheus.Registry) {
	t.Helper()
	var c BatchConfig
	c.SetToDefault()
	c.Output = all(sinks...)
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	metrics := prometheus.NewRegistry()
	b, err := NewBatch(c, component.Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return b, metrics
}

func TestBatchPassesOnAtOnceWithANote(t *testing.T) {
	var to sink
	b, _ := newBatch(t, func(c *BatchConfig) { c.SendBatchMaxSize = 9000 }, &to)
	if err := b.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs, Data: []byte("x"), Items: 3}); err != nil {
		t.Fatal(err)
	}
	want := pipeline.OTLP{
		Signal: pipeline.SignalLogs, Data: []byte("x"), Items: 3,
		Batching: &pipeline.Batching{Timeout: 200 * time.Millisecond, MinItems: 2000, MaxItems: 9000},
	}
	if diff := cmp.Diff(want, to.one(t), cmpopts.IgnoreUnexported(pipeline.OTLP{})); diff != "" {
		t.Error(diff)
	}
}

func TestBatchTellsItsSenderOfErrors(t *testing.T) {
	to := sink{err: pipeline.ErrFull}
	b, _ := newBatch(t, nil, &to)
	if err := b.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs}); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
}

func TestBatchCountsWhatHasNoOutput(t *testing.T) {
	var to sink
	b, metrics := newBatch(t, func(c *BatchConfig) { c.Output = flow.Output{Traces: []pipeline.OTLPSink{&to}} })
	if err := b.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs, Items: 4}); err != nil {
		t.Fatal(err)
	}
	if n := counter(t, metrics, "otelcol_processor_batch_lost_items_total", "no_output"); n != 4 {
		t.Errorf("%v lost items counted, want 4", n)
	}
}

// from is a context with the metadata of a client.
func from(md map[string][]string) context.Context {
	return flow.WithMetadata(context.Background(), md)
}

func TestBatchGroupsByMetadata(t *testing.T) {
	var to sink
	b, metrics := newBatch(t, func(c *BatchConfig) {
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
	for _, r := range to.got() {
		groups[r.Group]++
	}
	if len(groups) != 5 || to.got()[0].Group != to.got()[2].Group {
		t.Errorf("groups %v", groups)
	}
	if n := counter(t, metrics, "otelcol_processor_batch_metadata_cardinality", ""); n != 5 {
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

func TestLimits(t *testing.T) {
	const most = maxRequestBytes
	f := func(name string, own *QueueBatch, asked *pipeline.Batching, want limits) {
		t.Helper()
		if diff := cmp.Diff(want, limitsOf(own, asked), cmp.AllowUnexported(limits{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	f("nobody asks", nil, nil, limits{maxBytes: most, want: queue.Want{MaxBytes: mergeBytes}})
	f("a processor asks", nil, &pipeline.Batching{Timeout: time.Second, MinItems: 10, MaxItems: 20},
		limits{maxBytes: most, maxItems: 20, want: queue.Want{MinItems: 10, MaxItems: 20, MinBytes: most, MaxBytes: most, MaxWait: time.Second}})
	f("a processor asks not to wait", nil, &pipeline.Batching{Timeout: time.Second},
		limits{maxBytes: most, want: queue.Want{MinBytes: most, MaxBytes: most}})
	f("the batch block", &QueueBatch{FlushTimeout: time.Second, MinSize: 10, MaxSize: 30, Sizer: sizerItems}, nil,
		limits{maxBytes: most, maxItems: 30, want: queue.Want{MinItems: 10, MaxItems: 30, MinBytes: most, MaxBytes: most, MaxWait: time.Second}})
	f("both", &QueueBatch{FlushTimeout: time.Second, MinSize: 10, Sizer: sizerItems}, &pipeline.Batching{Timeout: time.Hour, MinItems: 5, MaxItems: 7},
		limits{maxBytes: most, maxItems: 7, want: queue.Want{MinItems: 7, MaxItems: 7, MinBytes: most, MaxBytes: most, MaxWait: time.Second}})
	f("the batch block in bytes", &QueueBatch{FlushTimeout: time.Second, MinSize: 1000, MaxSize: 2000, Sizer: sizerBytes}, nil,
		limits{maxBytes: 2000, want: queue.Want{MinBytes: 1000, MaxBytes: 2000, MaxWait: time.Second}})
	f("more bytes than may be", &QueueBatch{FlushTimeout: time.Second, MinSize: 1 << 30, MaxSize: 1 << 30, Sizer: sizerBytes}, nil,
		limits{maxBytes: most, want: queue.Want{MinBytes: most, MaxBytes: most, MaxWait: time.Second}})
}
