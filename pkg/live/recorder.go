package live

import (
	"context"
	"sync"
	"time"
)

const (
	// recordEvery is the time between two readings.
	recordEvery = 5 * time.Second
	// recorded is how many readings are kept: those of five minutes.
	recorded = 60
	// recent is how many of them make the rate of this moment: enough for a
	// scrape interval of 15 s to count.
	recent = 6
)

// Recorder keeps the recent history of numbers, for charts: counters as their increase
// per second, gauges as they are.
type Recorder struct {
	read func(Readings)

	mu     sync.Mutex
	rows   map[string]*row
	rounds int // readings made so far
	last   time.Time
}

// row is the values of one number, a ring.
type row struct {
	values  [recorded]float64
	counter float64 // at the last reading; of a counter
	since   int     // the round of its first value
	seen    int     // the last round that had it
}

// Readings takes the numbers of one moment, each under a key of its own.
type Readings struct {
	Counter func(key string, total float64)
	// Fresh is a counter that started at 0: its value when it is first seen is an
	// increase, except at the very first reading.
	Fresh func(key string, total float64)
	Gauge func(key string, v float64)
}

// NewRecorder makes a recorder of the numbers that read gives.
func NewRecorder(read func(Readings)) *Recorder {
	return &Recorder{read: read, rows: map[string]*row{}}
}

// Run records until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	r.record(time.Now())
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.record(now)
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *Recorder) record(now time.Time) {
	counters, gauges, fresh := map[string]float64{}, map[string]float64{}, map[string]bool{}
	r.read(Readings{
		Counter: func(key string, total float64) { counters[key] += total },
		Fresh:   func(key string, total float64) { counters[key] += total; fresh[key] = true },
		Gauge:   func(key string, v float64) { gauges[key] += v },
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rounds++
	seconds := now.Sub(r.last).Seconds()
	for key, total := range counters {
		if r.rows[key] == nil && fresh[key] && r.rounds > 1 {
			r.rows[key] = &row{since: r.rounds}
		}
		if known := r.rows[key]; known == nil {
			r.rows[key] = &row{counter: total, since: r.rounds + 1, seen: r.rounds}
		} else {
			increase := total - known.counter
			if increase < 0 { // it began again
				increase = total
			}
			known.counter = total
			known.set(r.rounds, increase/seconds)
		}
	}
	for key, v := range gauges {
		if r.rows[key] == nil {
			r.rows[key] = &row{since: r.rounds}
		}
		r.rows[key].set(r.rounds, v)
	}
	for key, known := range r.rows {
		if known.seen != r.rounds {
			delete(r.rows, key)
		}
	}
	r.last = now
}

func (w *row) set(round int, v float64) {
	w.values[round%recorded] = v
	w.seen = round
}

// Series gives the last values of a number, the oldest first. It is empty for
// a number that is not known, or not for long enough.
func (r *Recorder) Series(key string) []float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.rows[key]
	if known == nil {
		return nil
	}
	var values []float64
	for round := max(known.since, r.rounds-recorded+1); round <= r.rounds; round++ {
		values = append(values, known.values[round%recorded])
	}
	return values
}

// Rate is the mean of the values of the last half minute.
func (r *Recorder) Rate(key string) float64 {
	values := r.Series(key)
	values = values[max(0, len(values)-recent):]
	if len(values) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
