package wire

import (
	"errors"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// walk counts the items of a well-formed request.
func walk(s pipeline.Signal, data []byte) (items int, err error) {
	items, _, err = Measure(s, data)
	return items, err
}

// FuzzWalk: the walk accepts what the library accepts, rejects what it rejects, and
// counts the same. Groups and endless nesting are rejected by the walk alone.
func FuzzWalk(f *testing.F) {
	for i, s := range flow.Signals() {
		f.Add(byte(i), []byte{})
		f.Add(byte(i), otlptest.Request(f, s, 1, 1, 1, 3))
		f.Add(byte(i), otlptest.Request(f, s, 2, 2, 2, 0))
		whole := otlptest.Request(f, s, 1, 1, 1, 0)
		for n := 1; n < len(whole); n += 5 {
			f.Add(byte(i), whole[:n])
			flipped := append([]byte(nil), whole...)
			flipped[n] ^= 1 << (n % 8)
			f.Add(byte(i), flipped)
		}
	}
	// A metric with two kinds of data: the last one is what it has.
	f.Add(byte(1), otlptest.Nested(1, 2, 2, otlptest.Concat(otlptest.Nested(5, 1), otlptest.Nested(7, 1), otlptest.Nested(7, 1))))
	// Scopes in the place that they had before OTLP 0.15.
	f.Add(byte(0), otlptest.Nested(1, otlptest.Concat(otlptest.Nested(1000, 2), otlptest.Nested(1000, 2))))
	f.Add(byte(0), otlptest.Nested(1, otlptest.Concat(otlptest.Nested(1000, 2), otlptest.Nested(2, 2))))
	// Buckets of an exponential histogram, not packed.
	f.Add(byte(1), otlptest.Nested(1, 2, 2, 10, 1, 8, []byte{0x10, 5, 0x10, 6}))
	// A field number that has its meaning only modulo 2^32.
	f.Add(byte(0), []byte{0x8a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		s := flow.Signals()[int(which)%3]
		items, err := walk(s, data)
		if errors.Is(err, errGroup) || errors.Is(err, errDepth) {
			return
		}
		want, _, libErr := library(s, data)
		if (err == nil) != (libErr == nil) {
			t.Fatalf("walk says %v, the library %v", err, libErr)
		}
		if err == nil && items != want {
			t.Fatalf("walk counts %d, the library %d", items, want)
		}
	})
}

func TestWalkCounts(t *testing.T) {
	for s, want := range map[pipeline.Signal]int{
		pipeline.SignalTraces: 2 * 3 * 4, pipeline.SignalLogs: 2 * 3 * 4, pipeline.SignalMetrics: 2 * 3 * 4 * 5,
	} {
		if got, err := walk(s, otlptest.Request(t, s, 2, 3, 4, 10)); err != nil || got != want {
			t.Errorf("%s: counted %d (%v), want %d", s, got, err, want)
		}
	}
}

func TestWalkRejectsEndlessNesting(t *testing.T) {
	value := otlptest.Nested(1, []byte("x"))
	for range maxDepth {
		value = otlptest.Nested(5, 1, value)
	}
	data := otlptest.Nested(1, 2, 2, 5, value) // the body of a log record
	if _, err := walk(pipeline.SignalLogs, data); !errors.Is(err, errDepth) {
		t.Fatalf("got %v, want %v", err, errDepth)
	}
}

func TestWalkRejectsGroups(t *testing.T) {
	if _, err := walk(pipeline.SignalLogs, []byte{5<<3 | wireStartGroup, 5<<3 | wireEndGroup}); !errors.Is(err, errGroup) {
		t.Fatalf("got %v, want %v", err, errGroup)
	}
}

func TestWalkAllocatesNothing(t *testing.T) {
	for _, s := range flow.Signals() {
		data := otlptest.Request(t, s, 2, 2, 10, 10)
		if n := testing.AllocsPerRun(10, func() { _, _ = walk(s, data) }); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	for _, s := range flow.Signals() {
		data := otlptest.Request(b, s, 1, 2, 1000, 100)
		b.Run(string(s)+"/walk", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = walk(s, data)
			}
		})
		b.Run(string(s)+"/pdata", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				decode(b, s, data)
			}
		})
	}
}

// decode is what a receiver does that decodes each request.
func decode(b *testing.B, s pipeline.Signal, data []byte) {
	var err error
	switch s {
	case pipeline.SignalTraces:
		err = ptraceotlp.NewExportRequest().UnmarshalProto(data)
	case pipeline.SignalMetrics:
		err = pmetricotlp.NewExportRequest().UnmarshalProto(data)
	default:
		err = plogotlp.NewExportRequest().UnmarshalProto(data)
	}
	if err != nil {
		b.Fatal(err)
	}
}
