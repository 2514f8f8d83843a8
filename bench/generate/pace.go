// Package generate makes the work that collectors are measured at: metrics pages
// to scrape, requests of spans, profiles, and log lines of containers.
package generate

import (
	"context"
	"sync"
	"time"
)

// Total is what a generator has made and had acknowledged: the receiver must
// count the same.
type Total struct {
	Items    uint64
	Sum      uint64 // of the numbers of all items, modulo 2^64
	Failures uint64 // attempts that were not acknowledged; each was repeated until it was
	Behind   uint64 // items that were to be made by now, and are not: the rate was not kept
}

// Stop is the question upon which a generator stops; the answer is its Total.
const Stop = "/stop"

// pace calls send with 0, 1, 2 … at a rate of so many a second, from several
// goroutines at once, until ctx ends. It returns how many calls were due, and
// once all have returned.
func pace(ctx context.Context, rate float64, workers int, send func(n uint64)) (due uint64) {
	work := make(chan uint64)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for n := range work {
				send(n)
			}
		})
	}
	begin := time.Now()
	tick := time.NewTicker(max(time.Duration(float64(time.Second)/rate), 5*time.Millisecond))
	defer tick.Stop()
	for n := uint64(0); ctx.Err() == nil; {
		for due = uint64(time.Since(begin).Seconds() * rate); n < due && ctx.Err() == nil; n++ {
			select {
			case work <- n:
			case <-ctx.Done():
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	close(work)
	running.Wait()
	return due
}
