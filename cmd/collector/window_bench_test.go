package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/live"
	"collector/pkg/pipeline"
)

// taps is how many live views watch in BenchmarkWatched.
const taps = 5

// BenchmarkWatched sends batches of 500 items, and single profiles, through an
// edge to a queue on disk, from which they are delivered, with nobody looking and with five live
// taps and the Explore window on.
func BenchmarkWatched(b *testing.B) {
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}))
	defer store.Close()
	config := strings.ReplaceAll(`
loki.write "w" {
	endpoint { url = "$store/push" }
}
prometheus.remote_write "w" {
	endpoint { url = "$store/write" }
}
otelcol.exporter.otlphttp "w" {
	client { endpoint = "$store" }
}
pyroscope.write "w" {
	endpoint { url = "$store" }
}
`, "$store", store.URL)
	for _, signal := range []struct {
		name, id, export string
		items            int // in one call
		send             func(sink any) func() error
	}{
		{"logs", "loki.write.w", "receiver", benchItems, sendLogs},
		{"metrics", "prometheus.remote_write.w", "receiver", benchItems, sendMetrics},
		{"traces", "otelcol.exporter.otlphttp.w", "input", benchItems, sendTraces},
		{"profiles", "pyroscope.write.w", "receiver", 1, sendProfiles},
	} {
		for _, watched := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/watched=%v", signal.name, watched), func(b *testing.B) {
				p, url := runProgram(b, config, map[bool]string{true: "--explore.memory=64MiB", false: "--explore.memory=0"}[watched])
				if watched {
					defer tap(b, url+"/live/events?signal="+signal.name)()
				}
				edge := live.NewEdge(p.view.hub, "bench", signal.id)
				p.view.chooser.Update(append(p.graph.Edges(), edge))
				send := signal.send(edge.Wrap(exportOf(b, p, signal.id, signal.export)))
				before := processorTime(b)
				for b.Loop() {
					if err := send(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(processorTime(b)-before)/float64(signal.items*b.N), "cpu-ns/item")
				b.ReportMetric(float64(signal.items)*float64(b.N)/b.Elapsed().Seconds(), "items/s")
			})
		}
	}
}

const benchItems = 500

// processorTime is what this process has used: the pipeline, the store and the watchers.
// Other processes on the machine do not count.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func exportOf(b *testing.B, p *program, id, name string) (sink any) {
	p.graph.Components(func(other string, c any) {
		if other == id {
			sink = c.(interface{ Exports() map[string]any }).Exports()[name]
		}
	})
	if sink == nil {
		b.Fatalf("no %s of %s", name, id)
	}
	return sink
}

// tap opens the taps, the last one with a filter that nothing passes, and returns a
// function that closes them.
func tap(b *testing.B, url string) (leave func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	for i := range taps {
		at := url
		if i == taps-1 {
			at += "&q=nowhere"
		}
		request, err := http.NewRequestWithContext(ctx, "GET", at, nil)
		if err != nil {
			b.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil || response.StatusCode != http.StatusOK {
			b.Fatal(response, err)
		}
		reading.Go(func() {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		})
	}
	return func() { cancel(); reading.Wait() }
}

func sendLogs(sink any) func() error {
	stream := pipeline.Stream{Labels: labels.FromStrings("container", "shop", "stream", "stdout")}
	for i := range benchItems {
		stream.Entries = append(stream.Entries, pipeline.Entry{Line: fmt.Sprintf(`{"level":"info","msg":"request served","method":"GET","path":"/api/v1/items/%d","status":200,"duration_ms":12.5}`, i)})
	}
	return func() error {
		now := time.Now()
		for i := range stream.Entries {
			stream.Entries[i].Time = now
		}
		return sink.(pipeline.LogsSink).WriteLogs(context.Background(), pipeline.Logs{Streams: []pipeline.Stream{stream}})
	}
}

func sendMetrics(sink any) func() error {
	var m pipeline.Metrics
	for i := range benchItems {
		m.Samples = append(m.Samples, pipeline.Sample{Series: pipeline.NewSeries(labels.FromStrings(labels.MetricName, "requests_total", "path", fmt.Sprint("/items/", i), "job", "shop"))})
	}
	at, v := time.Now().UnixMilli(), 0.0
	return func() error {
		at, v = at+1000, v+1
		for i := range m.Samples {
			m.Samples[i].T, m.Samples[i].V = at, v
		}
		return sink.(pipeline.MetricsSink).WriteMetrics(context.Background(), m)
	}
}

func sendTraces(sink any) func() error {
	all := ptrace.NewTraces()
	rs := all.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	now := time.Now()
	for i := range benchItems {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1, byte(i / 10 >> 8), byte(i / 10)})
		span.SetSpanID(pcommon.SpanID{1, byte(i >> 8), byte(i)})
		span.SetName("GET /items")
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Millisecond)))
		span.Attributes().PutStr("http.request.method", "GET")
		span.Attributes().PutStr("url.path", fmt.Sprint("/items/", i))
	}
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(all)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return func() error {
		return sink.(pipeline.OTLPSink).WriteOTLP(context.Background(), pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: benchItems})
	}
}

// sendProfiles sends the profile of this process's memory, as a client would.
func sendProfiles(sink any) func() error {
	var body bytes.Buffer
	if err := pprof.Lookup("allocs").WriteTo(&body, 0); err != nil {
		panic("BUG: " + err.Error())
	}
	return func() error {
		now := time.Now()
		query := url.Values{
			"name": {"shop{region=eu}"}, "format": {"pprof"},
			"from": {strconv.FormatInt(now.Add(-10*time.Second).Unix(), 10)}, "until": {strconv.FormatInt(now.Unix(), 10)},
		}
		return sink.(pipeline.ProfilesSink).WriteProfile(context.Background(), pipeline.Profile{
			Route: pipeline.ProfileIngest, Query: query.Encode(), ContentType: "application/octet-stream", Body: body.Bytes(), Items: 1,
		})
	}
}
