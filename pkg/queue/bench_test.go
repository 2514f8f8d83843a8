package queue

import (
	"fmt"
	"testing"
)

func BenchmarkAppendReadAck(b *testing.B) {
	for _, size := range []int{200, 10 << 10, 500 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			q, err := Open(Options{Dir: b.TempDir(), Readers: []string{"a"}})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = q.Close() }()
			block := Block{Data: make([]byte, size), Items: 1}
			r := q.Reader("a")
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := q.Append(b.Context(), block); err != nil {
					b.Fatal(err)
				}
				l, err := r.TryNext(BatchLimits{})
				if err != nil {
					b.Fatal(err)
				}
				if err := r.Ack(l); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	q, err := Open(Options{Dir: b.TempDir(), Readers: []string{"a"}, MaxBytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	block := Block{Data: make([]byte, 1000), Items: 1}
	b.SetBytes(1000)
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Append(b.Context(), block); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCatchUp reads a backlog in large batches.
func BenchmarkCatchUp(b *testing.B) {
	q, err := Open(Options{Dir: b.TempDir(), Readers: []string{"a"}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	block := Block{Data: make([]byte, 1000), Items: 1}
	r := q.Reader("a")
	b.SetBytes(1000)
	b.ReportAllocs()
	left := 0
	for b.Loop() {
		if left == 0 {
			b.StopTimer()
			for ; left < 20000; left++ {
				if err := q.Append(b.Context(), block); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
		if left%1000 == 0 {
			l, err := r.TryNext(BatchLimits{MaxItems: 1000})
			if err != nil || len(l.Blocks) != 1000 {
				b.Fatal(err)
			}
			if err := r.Ack(l); err != nil {
				b.Fatal(err)
			}
		}
		left--
	}
}
