package logs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/grafana/loki/pkg/push"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/docker"
	"collector/pkg/pipeline"
)

const benchLine = `{"level":"info","ts":"2026-01-01T00:00:00.000Z","msg":"request served","method":"GET","path":"/api/v1/items/%d","status":200,"duration_ms":12.5}`

// frames is what the Engine sends for n lines.
func frames(n int) []byte {
	var out bytes.Buffer
	for i := range n {
		text := time.Unix(1_700_000_000, int64(i)*1000).UTC().Format(time.RFC3339Nano) + " " + fmt.Sprintf(benchLine, i) + "\n"
		header := [8]byte{1}
		binary.BigEndian.PutUint32(header[4:], uint32(len(text)))
		out.Write(header[:])
		out.WriteString(text)
	}
	return out.Bytes()
}

// encodingSink encodes and compresses as Write does, and keeps nothing.
type encodingSink struct {
	raw, data []byte
	entries   int
}

func (s *encodingSink) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	s.raw = s.raw[:0]
	for _, stream := range logs.Streams {
		entries, _, _ := validEntries(stream.Entries)
		s.raw = appendStream(s.raw, streamLabelString(public(stream.Labels)), entries)
		s.entries += len(entries)
	}
	s.data = snappy.Encode(s.data[:cap(s.data)], s.raw)
	return nil
}

// BenchmarkTail reads lines as the Engine sends them, up to the compressed
// block.
func BenchmarkTail(b *testing.B) {
	const lines = 20_000
	data := frames(lines)
	sink := &encodingSink{}
	var cfg SourceDockerConfig
	cfg.SetToDefault()
	cfg.Host, cfg.ForwardTo = "unix:///nowhere", []pipeline.LogsSink{sink}
	s, err := NewSourceDocker(cfg, component.Options{Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	s.store = openTestStore(b, b.TempDir(), &bytes.Buffer{})
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		t := newTail(s, fmt.Sprint(sink.entries))
		t.setTarget(discovery.Target(labels.FromStrings(containerIDLabel, "id", "container", "app")))
		ctx, cancel := context.WithCancelCause(b.Context())
		c := connection{ctx: ctx, end: cancel, reader: docker.NewLogReader(io.NopCloser(bytes.NewReader(data)), false)}
		if err := t.pump(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		for pending := true; pending; { // without waiting for batches to age
			signal(t.full)
			runtime.Gosched()
			t.mu.Lock()
			pending = t.delivering
			t.mu.Unlock()
		}
		t.deliveries.Wait()
	}
	b.ReportMetric(float64(sink.entries)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkEncode compares the encoding by hand with the library's.
func BenchmarkEncode(b *testing.B) {
	lset := labels.FromStrings("container", "app", "host", "h", "project", "p", "service", "s", "stream", "stdout")
	entries := entriesOf(0, 1000)
	for i := range entries {
		entries[i].Line = fmt.Sprintf(benchLine, i)
	}
	b.Run("hand", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			checked, _, _ := validEntries(entries)
			buf = appendStream(buf[:0], streamLabelString(lset), checked)
		}
		b.SetBytes(int64(len(buf)))
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			s := push.Stream{Labels: streamLabelString(lset), Entries: make([]push.Entry, len(entries))}
			for i, e := range entries {
				s.Entries[i] = push.Entry{Timestamp: e.Time, Line: e.Line}
			}
			r := push.PushRequest{Streams: []push.Stream{s}}
			if n := r.Size(); cap(buf) < n {
				buf = make([]byte, n)
			}
			n, err := r.MarshalTo(buf[:cap(buf)])
			if err != nil {
				b.Fatal(err)
			}
			buf = buf[:n]
		}
		b.SetBytes(int64(len(buf)))
	})
}

// BenchmarkAppendLine is the common case: a short line that is text.
func BenchmarkAppendLine(b *testing.B) {
	line := rawLine{text: []byte(strings.Repeat("a line of text ", 10)), size: 150}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _, _ = appendLine(buf[:0], line, 256<<10)
	}
}
