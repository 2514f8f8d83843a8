package journal

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/logs/source/journal/journaltest"
	"collector/pkg/logs/source/positions"
	"collector/pkg/pipeline"
)

type discard struct{ entries int }

func (d *discard) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	d.entries += logs.Entries()
	return nil
}

// BenchmarkEntries reads entries with as many fields as those of a service have.
func BenchmarkEntries(b *testing.B) {
	const entries = 10_000
	w := journaltest.NewWriter(journaltest.Options{FileID: 1, Compact: true, Compression: "zstd"})
	start := uint64(time.Now().Add(-time.Hour).UnixMicro())
	for i := range entries {
		fields := []string{
			fmt.Sprintf("MESSAGE=request %d from 10.0.%d.%d took %d ms", i, i%7, i%200, i%1000), "PRIORITY=6",
			fmt.Sprintf("_SYSTEMD_UNIT=unit-%d.service", i%10), fmt.Sprintf("_SOURCE_REALTIME_TIMESTAMP=%d", start+uint64(i)),
		}
		for k := range 18 {
			fields = append(fields, fmt.Sprintf("_FIELD_%d=value of unit %d", k, i%10))
		}
		w.Append(start+uint64(1000*i), uint64(i), fields...)
	}
	dir := b.TempDir()
	if err := w.Write(filepath.Join(dir, "system.journal")); err != nil {
		b.Fatal(err)
	}
	r := discovery.Rule{}
	r.SetToDefault()
	r.SourceLabels, r.TargetLabel = []string{"__journal__systemd_unit"}, "unit"
	relabeling, err := discovery.Compile([]discovery.Rule{r})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		sink := new(discard)
		var c Config
		c.SetToDefault()
		c.Path, c.ForwardTo, c.RelabelRules = dir, []pipeline.LogsSink{sink}, relabeling
		s, err := New(c, component.Options{Dir: filepath.Join(b.TempDir(), "c")})
		if err != nil {
			b.Fatal(err)
		}
		store, err := positions.Open(s.opts.Dir, positions.Options{Logger: s.opts.Logger, Damaged: s.metrics.damaged, Failed: s.metrics.failed})
		if err != nil {
			b.Fatal(err)
		}
		r := newReader(s, store)
		r.look()
		r.refreshAll()
		if err := r.read(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := r.deliver(b.Context()); err != nil {
			b.Fatal(err)
		}
		r.close()
		store.Close()
		if sink.entries != entries {
			b.Fatalf("%d entries", sink.entries)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/entry")
}
