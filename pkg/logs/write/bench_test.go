package write

import (
	"fmt"
	"testing"

	"github.com/grafana/loki/pkg/push"
	"github.com/prometheus/prometheus/model/labels"
)

const benchLine = `{"level":"info","ts":"2026-01-01T00:00:00.000Z","msg":"request served","method":"GET","path":"/api/v1/items/%d","status":200,"duration_ms":12.5}`

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
