package deliver

import (
	"time"

	"collector/pkg/queue"
)

// maxTagWaits is how many tags' failures are remembered at once.
const maxTagWaits = 256

// patience is what a failed request does.
type patience int

const (
	// giveBack gives its blocks back to the queue, which keeps them better.
	giveBack patience = iota
	// waitHere waits, as giving them back would lose how far a batch is cut.
	waitHere
	// waitInside waits even for a tag that has to wait: a part of the block has
	// been taken, and would be sent again.
	waitInside
)

// tagWait is a tag that the destination has told to wait.
type tagWait struct {
	failures int // in a row
	until    time.Time
	timer    *time.Timer
}

// tagRetries is how often in a row the tag was told to wait.
func (d *destination) tagRetries(tag string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.waiting[tag]; w != nil {
		return w.failures
	}
	return 0
}

// tagAnswered ends the waits of a tag, of which the destination has accepted or
// refused something.
func (d *destination) tagAnswered(tag string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.waiting[tag]; w != nil {
		w.timer.Stop()
		delete(d.waiting, tag)
		d.log.Info("destination recovered for the tenant", "tenant", tag)
	}
}

// tagFailed keeps the blocks of a tag in the queue until it may be retried,
// so that others pass them. No lease of the tag is out. When that is so for as
// many tags as the queue can hold, all wait.
func (l *loop) tagFailed(tag string, retryAfter time.Duration) {
	l.mu.Lock()
	w := l.waiting[tag]
	if w == nil {
		w = &tagWait{}
	}
	w.failures++
	failures := w.failures
	l.mu.Unlock()
	wait := l.breaker.pauseAfter(failures, retryAfter, false)
	if !l.reader.Hold(tag) {
		if t, pass := l.breaker.pass(); pass {
			l.breaker.failed(t, retryAfter, false)
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.until = time.Now().Add(wait)
	w.timer = time.AfterFunc(wait, func() { l.reader.Free(tag) })
	l.forgetTags()
	l.waiting[tag] = w
}

// forgetTags makes room among the tags for one more. Only such as do not wait
// any longer are forgotten, and the queue bounds the others. The caller holds
// d.mu.
func (d *destination) forgetTags() {
	if len(d.waiting) < maxTagWaits {
		return
	}
	now := time.Now()
	for tag, w := range d.waiting {
		if now.After(w.until) {
			delete(d.waiting, tag)
		}
	}
}

// waitingTags counts the tags that wait. The caller holds d.mu.
func (d *destination) waitingTags() int {
	n, now := 0, time.Now()
	for _, w := range d.waiting {
		if now.Before(w.until) {
			n++
		}
	}
	return n
}

// stopTags ends all waits of a run.
func (l *loop) stopTags() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waiting {
		w.timer.Stop()
	}
	clear(l.waiting)
}

// giveUp gives blocks that can't be sent now back to the queue. err is why, if
// the destination has said so.
func (l *loop) giveUp(lease *queue.Lease, err error) {
	tag := lease.Blocks[0].Tag
	l.reader.Release(lease)
	if e := ofTag(err); e != nil {
		l.tagFailed(tag, e.RetryAfter)
	}
}
