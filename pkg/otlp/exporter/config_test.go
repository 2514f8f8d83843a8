package exporter

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/storage"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

func TestLimits(t *testing.T) {
	const most = MaxRequestBytes
	f := func(name string, own *QueueBatch, asked *pipeline.Batching, want limits) {
		t.Helper()
		if diff := cmp.Diff(want, limitsOf(own, asked), cmp.AllowUnexported(limits{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	f("nobody asks", nil, nil, limits{maxBytes: most, batch: queue.BatchLimits{MaxBytes: mergeBytes}})
	f("a processor asks", nil, &pipeline.Batching{Timeout: time.Second, MinItems: 10, MaxItems: 20},
		limits{maxBytes: most, maxItems: 20, batch: queue.BatchLimits{MinItems: 10, MaxItems: 20, MinBytes: most, MaxBytes: most, MaxWait: time.Second}})
	f("a processor asks not to wait", nil, &pipeline.Batching{Timeout: time.Second},
		limits{maxBytes: most, batch: queue.BatchLimits{MinBytes: most, MaxBytes: most}})
	f("the batch block", &QueueBatch{FlushTimeout: time.Second, MinSize: 10, MaxSize: 30, Sizer: sizerItems}, nil,
		limits{maxBytes: most, maxItems: 30, batch: queue.BatchLimits{MinItems: 10, MaxItems: 30, MinBytes: most, MaxBytes: most, MaxWait: time.Second}})
	f("both", &QueueBatch{FlushTimeout: time.Second, MinSize: 10, Sizer: sizerItems}, &pipeline.Batching{Timeout: time.Hour, MinItems: 5, MaxItems: 7},
		limits{maxBytes: most, maxItems: 7, batch: queue.BatchLimits{MinItems: 7, MaxItems: 7, MinBytes: most, MaxBytes: most, MaxWait: time.Second}})
	f("the batch block in bytes", &QueueBatch{FlushTimeout: time.Second, MinSize: 1000, MaxSize: 2000, Sizer: sizerBytes}, nil,
		limits{maxBytes: 2000, batch: queue.BatchLimits{MinBytes: 1000, MaxBytes: 2000, MaxWait: time.Second}})
	f("more bytes than may be", &QueueBatch{FlushTimeout: time.Second, MinSize: 1 << 30, MaxSize: 1 << 30, Sizer: sizerBytes}, nil,
		limits{maxBytes: most, batch: queue.BatchLimits{MinBytes: most, MaxBytes: most, MaxWait: time.Second}})
}

func TestBlocksAreCheckedAndSayWhere(t *testing.T) {
	otlptest.Says(t, "multiplier: ", func(c *Retry) { c.Multiplier = 1 })
	otlptest.Says(t, "randomization_factor: ", func(c *Retry) { c.RandomizationFactor = 2 })
	otlptest.Says(t, "max_interval: ", func(c *Retry) { c.MaxInterval = time.Second })
	otlptest.Says(t, "", func(c *SendingQueue) { c.Storage = &storage.Handler{} })
	otlptest.Says(t, "sizer: ", func(c *SendingQueue) { c.Sizer = "x" })
	otlptest.Says(t, "queue_size: ", func(c *SendingQueue) { c.QueueSize = 0 })
	otlptest.Says(t, "num_consumers: ", func(c *SendingQueue) { c.NumConsumers = 0 })
	otlptest.Says(t, "", func(c *SendingQueue) { *c = SendingQueue{} }) // as Alloy's converter writes one that is off
	otlptest.Says(t, "", func(*QueueBatch) {})
	otlptest.Says(t, "max_size: ", func(c *QueueBatch) { c.MaxSize = 5 })
	otlptest.Says(t, "sizer: ", func(c *QueueBatch) { c.Sizer = "requests" })
}
