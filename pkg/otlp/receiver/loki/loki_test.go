package loki

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/plog"

	"collector/pkg/component"
	"collector/pkg/otlp/exporter/loki"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/processor/attributes"
	"collector/pkg/otlp/recordedtest"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

func TestEntriesBecomeTheRecordsThatAlloyMakes(t *testing.T) {
	recordedtest.Run(t, "otelcol.receiver.loki", nil, Definition(), attributes.Definition(), loki.Definition())
}

func receiver(t *testing.T, output flow.Output) (*Receiver, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	r, err := New(Config{Output: output}, component.Options{Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	return r, reg
}

// entries are a stream of lines.
func entries(lset labels.Labels, lines ...string) pipeline.Logs {
	s := pipeline.Stream{Labels: lset}
	for _, line := range lines {
		s.Entries = append(s.Entries, pipeline.Entry{Time: time.Unix(1, 2), Line: line})
	}
	return pipeline.Logs{Streams: []pipeline.Stream{s}}
}

// keeping is a sink for the records of requests.
type keeping struct{ records []plog.LogRecord }

func (k *keeping) WriteOTLP(_ context.Context, r pipeline.OTLP) error {
	d, err := r.Read()
	if err != nil {
		return err
	}
	for _, rl := range d.Logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				k.records = append(k.records, lr)
			}
		}
	}
	return nil
}

func TestARecordHasTheTimesAndTheMetadataOfItsEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &keeping{}
		r, reg := receiver(t, flow.Output{Logs: []pipeline.OTLPSink{to}})
		logs := entries(labels.FromStrings("job", "web", "__tenant_id__", "t"), "line", "later")
		logs.Streams[0].Entries[0].Metadata = labels.FromStrings("trace_id", "abc", "job", "of the entry")
		logs.Streams[0].Entries[1].Time = time.Time{}
		if err := r.WriteLogs(t.Context(), logs); err != nil {
			t.Fatal(err)
		}
		now := time.Now().UnixNano()
		for i, want := range []string{
			fmt.Sprint("line 1000000002 ", now, " map[job:of the entry loki.attribute.labels:job trace_id:abc]"),
			fmt.Sprint("later ", now, " ", now, " map[job:web loki.attribute.labels:job]"),
		} {
			lr := to.records[i]
			got := fmt.Sprint(lr.Body().Str(), " ", int64(lr.Timestamp()), " ", int64(lr.ObservedTimestamp()), " ", lr.Attributes().AsRaw())
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if n := otlptest.Counter(t, reg, "otelcol_receiver_loki_entries_total", ""); n != 2 {
			t.Errorf("%v entries are counted", n)
		}
	})
}

func TestBytesThatAreNoTextAreReplaced(t *testing.T) {
	to := &keeping{}
	r, _ := receiver(t, flow.Output{Logs: []pipeline.OTLPSink{to}})
	if err := r.WriteLogs(t.Context(), entries(labels.FromStrings("filename", "/a\xff"), "b\xffc")); err != nil {
		t.Fatal(err)
	}
	lr := to.records[0]
	if lr.Body().Str() != "b\uFFFDc" {
		t.Errorf("the body is %q", lr.Body().Str())
	}
	for name, v := range lr.Attributes().All() {
		if !utf8.ValidString(v.Str()) {
			t.Errorf("%s is %q", name, v.Str())
		}
	}
}

func TestEntriesWithoutAnOutputAreCounted(t *testing.T) {
	r, reg := receiver(t, flow.Output{Metrics: []pipeline.OTLPSink{&otlptest.Sink{}}, Traces: []pipeline.OTLPSink{&otlptest.Sink{}}})
	if err := r.WriteLogs(t.Context(), entries(labels.EmptyLabels(), "a", "b")); err != nil {
		t.Fatal(err)
	}
	if n := otlptest.Counter(t, reg, "otelcol_receiver_lost_items_total", "no_output"); n != 2 {
		t.Errorf("%v entries are counted", n)
	}
}

// A source that waits, such as the log of a container, loses nothing to one of two
// outputs that is full.
func TestASourceThatWaitsWaitsForEveryOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, full := &otlptest.Sink{}, &otlptest.Sink{}
		tries := 0
		later := otlptest.SinkFunc(func(ctx context.Context, r pipeline.OTLP) error {
			if tries++; tries < 4 {
				return pipeline.ErrFull
			}
			return full.WriteOTLP(ctx, r)
		})
		r, reg := receiver(t, flow.Output{Logs: []pipeline.OTLPSink{good, later}})
		write := func(ctx context.Context, to pipeline.LogsSink) error {
			return to.WriteLogs(ctx, entries(labels.EmptyLabels(), "a"))
		}
		if _, err := pipeline.UntilAccepted(t.Context(), []pipeline.LogsSink{r}, 0, write, pipeline.Notify{}); err != nil {
			t.Fatal(err)
		}
		if len(good.Got()) != 1 || len(full.Got()) != 1 {
			t.Errorf("%d and %d requests have arrived", len(good.Got()), len(full.Got()))
		}
		if n := otlptest.Counter(t, reg, "otelcol_receiver_lost_items_total", ""); n != 0 {
			t.Errorf("%v entries are lost", n)
		}
	})
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	to, up := &keeping{}, false
	var guard = make(chan struct{}, 1)
	sink := otlptest.SinkFunc(func(ctx context.Context, r pipeline.OTLP) error {
		guard <- struct{}{}
		defer func() { <-guard }()
		if !up {
			return errors.New("down")
		}
		return to.WriteOTLP(ctx, r)
	})
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner {
			r, _ := receiver(t, flow.Output{Logs: []pipeline.OTLPSink{sink}})
			return r
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			logs := entries(labels.FromStrings("n", strconv.Itoa(number)), strconv.Itoa(number))
			err := r.(*Receiver).WriteLogs(ctx, logs)
			clear(logs.Streams[0].Entries)
			clear(logs.Streams)
			return err
		},
		Serve: func(now bool) {
			guard <- struct{}{}
			up = now
			<-guard
		},
		Arrived: func() map[int]int {
			guard <- struct{}{}
			defer func() { <-guard }()
			out := map[int]int{}
			for _, lr := range to.records {
				v, _ := lr.Attributes().Get("n")
				if n, err := strconv.Atoi(lr.Body().Str()); err == nil && strings.Compare(v.Str(), lr.Body().Str()) == 0 {
					out[n]++
				}
			}
			return out
		},
	}.TestPassing(t)
}
