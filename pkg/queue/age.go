package queue

import "time"

// maxSteps is how many steps of the machine's clock a queue remembers.
const maxSteps = 64

// ages keeps how old blocks are, whatever happens to the machine's clock. Records carry
// wall-clock times, as nothing else means anything to the next process. Here they are
// converted to a clock that started with the machine's when the queue was opened, and
// that is never set. What an earlier process appended is as old as the machine's clock
// said when the queue was opened.
type ages struct {
	now    func() time.Time // time.Now
	opened time.Time
	steps  []clockStep // in order; guarded by Queue.mu
}

// clockStep says by how much the machine's clock had been moved since the queue
// was opened, when the block seq was appended and those after it.
type clockStep struct {
	seq uint64
	by  int64 // nanoseconds
}

func newAges(now func() time.Time) ages { return ages{now: now, opened: now()} }

// steady is the time on the queue's own clock, in nanoseconds since the epoch.
func (a *ages) steady(now time.Time) int64 { return a.opened.UnixNano() + int64(now.Sub(a.opened)) }

// appended records a block, and returns the time. The caller holds Queue.mu.
func (a *ages) appended(seq uint64, now time.Time) int64 {
	at := a.steady(now)
	by := now.UnixNano() - at
	if moved := time.Duration(by - a.moved(seq)); moved.Abs() >= time.Second {
		if len(a.steps) == maxSteps {
			a.steps = append(a.steps[:0], a.steps[1:]...)
		}
		a.steps = append(a.steps, clockStep{seq, by})
	}
	return at
}

// moved is how far the machine's clock had been moved when a block was appended.
func (a *ages) moved(seq uint64) int64 {
	for i := len(a.steps) - 1; i >= 0; i-- {
		if seq >= a.steps[i].seq {
			return a.steps[i].by
		}
	}
	return 0
}

// loaded is when a block was appended of which the record is read again. The
// caller holds Queue.mu.
func (a *ages) loaded(seq uint64, recorded int64) int64 { return recorded - a.moved(seq) }

// time is a time on the queue's own clock as time.Since understands it.
func (a *ages) time(steady int64) time.Time {
	return a.opened.Add(time.Duration(steady - a.opened.UnixNano()))
}

// Clock is what the clock shows now that stamped the block, and its items, in
// nanoseconds since the epoch: their age is the difference, whatever the
// machine's clock has been set to since.
func (b *Block) Clock(now time.Time) int64 {
	if b.since.IsZero() {
		return now.UnixNano()
	}
	return b.recorded + int64(now.Sub(b.since))
}
