package docker

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

// countingSink counts, and keeps nothing.
type countingSink struct{ entries int }

func (s *countingSink) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	s.entries += logs.Entries()
	return nil
}

// BenchmarkTail reads lines as the Engine sends them, up to the sink.
func BenchmarkTail(b *testing.B) {
	const lines = 20_000
	data := frames(lines)
	sink := &countingSink{}
	var cfg Config
	cfg.SetToDefault()
	cfg.Host, cfg.ForwardTo = "unix:///nowhere", []pipeline.LogsSink{sink}
	s, err := New(cfg, component.Options{Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
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

// BenchmarkAppendLine is the common case: a short line that is text.
func BenchmarkAppendLine(b *testing.B) {
	line := rawLine{text: []byte(strings.Repeat("a line of text ", 10)), size: 150}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _, _ = appendLine(buf[:0], line, 256<<10)
	}
}
