package write

import "sync"

const (
	// startRatio is what is assumed of blocks that wait from the last run.
	startRatio = 8
	// ratioWindow is the number of blocks after which a lower ratio counts.
	ratioWindow = 1000
)

// compressionRatio watches how much smaller blocks get by compression. The queue merges
// blocks by their size, while batch_size limits what is in them; the ratio
// of the best compressed recent block translates, in steps of a quarter.
type compressionRatio struct {
	set func(factor float64) // called when the factor changes

	mu     sync.Mutex
	factor float64 // in force; guarded by mu
	peak   float64 // of the window; guarded by mu
	seen   int     // in the window; guarded by mu
}

func newCompressionRatio(set func(factor float64)) *compressionRatio {
	return &compressionRatio{set: set, factor: startRatio, peak: 1}
}

// observe records a block of raw bytes that were compressed to size.
func (d *compressionRatio) observe(raw, size int) {
	step := 1.0
	for float64(raw) > step*float64(size) {
		step *= 1.25
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.peak = max(d.peak, step)
	d.seen++
	factor := d.factor
	if d.seen >= ratioWindow {
		factor = d.peak
		d.seen, d.peak = 0, 1
	}
	if factor = max(factor, step); factor != d.factor {
		d.factor = factor
		d.set(factor)
	}
}
