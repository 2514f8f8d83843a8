// Package receive is the destination of what is measured: it accepts remote write, Loki's
// and Pyroscope's pushes and OTLP, and counts what arrives.
package receive

import (
	"sync"
	"time"

	"collector-bench/latency"
)

// Tally is what has arrived of one signal.
type Tally struct {
	Items    uint64 // samples, spans, log lines or profiles of the generator's
	Sum      uint64 // of the numbers that they carry, modulo 2^64
	Others   uint64 // items that the generator has not made, such as `up`
	Failed   uint64 // failed scrapes, as reported by the program itself
	Requests uint64
	Wire     uint64        // bytes read from connections, with protocol headers but without those of TCP
	Bad      uint64        // requests that could not be read
	P99      time.Duration // how old items were when they arrived, since the last Window
}

type tally struct {
	mu sync.Mutex
	Tally
	ages latency.Histogram
}

// batch is the contents of one request.
type batch struct {
	items, sum, others, failed uint64
	ages                       latency.Histogram
}

// add counts an item with a number that was made at the given time.
func (b *batch) add(number uint64, age time.Duration) {
	b.items++
	b.sum += number
	b.ages.Add(age, 1)
}

// take counts a request; one with an error counts as bad, whatever it contained.
func (t *tally) take(b *batch, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Requests++
	if err != nil {
		t.Bad++
		return
	}
	t.Items += b.items
	t.Sum += b.sum
	t.Others += b.others
	t.Failed += b.failed
	t.ages.Merge(&b.ages)
}

func (t *tally) wire(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Wire += uint64(n)
}

// read returns what has arrived so far.
func (t *tally) read() Tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.Tally
	out.P99 = t.ages.Quantile(0.99)
	return out
}

// window forgets the ages of what has arrived so far.
func (t *tally) window() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ages = latency.Histogram{}
}
