package deliver

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"collector/pkg/cause"
	"collector/pkg/queue"
)

// record records an attempt.
func (d *destination) record(outcome Outcome, blocks []queue.Block, start time.Time, err error, t ticket) {
	now := time.Now()
	d.mu.Lock()
	d.counts[outcome]++
	since := later(start, d.answeredAt) // in which it has not answered
	if outcome != Retry {
		d.answeredAt, since = now, now
	}
	switch outcome {
	case OK:
		if d.rejections = 0; t.retries > 0 {
			d.log.Info("destination recovered", "down_for", now.Sub(d.failingSince).Round(time.Millisecond))
			d.failures.Forget()
		}
		d.lastSuccess, d.failingSince = now, time.Time{}
	case Rejected:
		d.rejections++
		d.fail(now, since, err, true)
	case Retry:
		d.fail(now, since, err, d.NoRetry)
		why := d.why(err, d.NoRetry)
		d.failures.Warn(d.log, concerned(blocks, err), "send failed, retrying", "cause", why.Text, "fix", why.Fix, "err", err, "retries", t.retries)
	}
	d.mu.Unlock()
	d.traced(outcome, blocks, start, now, err, t.retries)
	if d.Observe != nil {
		d.Observe(Attempt{
			Tag: blocks[0].Tag, Blocks: len(blocks), Items: itemsOf(blocks), Bytes: bytesOf(blocks),
			Duration: now.Sub(start), Err: err, Outcome: outcome, Retries: t.retries,
		})
	}
}

// concerned is the tag of the blocks, if err is about that tag alone: an error of one
// tenant must not keep other errors of the destination out of the log.
func concerned(blocks []queue.Block, err error) string {
	if ofTag(err) == nil || len(blocks) == 0 {
		return ""
	}
	return blocks[0].Tag
}

// took records what a destination did with items that it has acknowledged: it may have
// rejected all of them in the same response.
func (d *destination) took(res Result, items int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case res.Unasked:
	case items > 0 && res.Dropped >= items:
		d.refuse()
		d.lastFailure, d.lastDropped = time.Now(), true
		d.lastError = &cause.Explained{
			Err: fmt.Errorf("all %d items rejected: %s", items, cmp.Or(res.Message, res.Reason, ReasonPartialSuccess)), Cause: d.why(res.err(), true),
		}
	default:
		d.refused = 0
	}
}

// refuse records something that is rejected permanently. The caller holds d.mu.
func (d *destination) refuse() {
	if d.refused == 0 {
		d.refusedSince = time.Now()
	}
	d.refused++
}

// err is what a destination said of the items that it rejected.
func (r *Result) err() error {
	if r.Err != nil {
		return r.Err
	}
	const accepted = 200
	words := cmp.Or(r.Message, r.Reason, ReasonPartialSuccess)
	return &cause.Answer{Err: errors.New(words), Status: accepted, Words: words}
}

// why is the cause of an error; dropped says that the data was given up.
func (d *destination) why(err error, dropped bool) cause.Cause {
	if known := (*cause.Explained)(nil); errors.As(err, &known) {
		return known.Cause
	}
	return cause.OfDestination(err, cause.Destination{Component: d.component, URL: cmp.Or(d.URL, d.ID), Dropped: dropped})
}

// fail records a failure. The caller holds d.mu.
func (d *destination) fail(now, since time.Time, err error, dropped bool) {
	d.lastFailure, d.lastError, d.lastDropped = now, err, dropped
	if d.failingSince.IsZero() {
		d.failingSince = since
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// begin records that a request begins now.
func (d *destination) begin() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	start := time.Now()
	d.underWay = append(d.underWay, start)
	return start
}

// end records that the request for which begin returned this has ended.
func (d *destination) end(start time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.underWay, start)
	d.underWay = slices.Delete(d.underWay, i, i+1)
}

// unanswered is since when there is no answer to the requests in progress; zero
// if there are none. The caller holds d.mu.
func (d *destination) unanswered() time.Time {
	if len(d.underWay) == 0 {
		return time.Time{}
	}
	return later(slices.MinFunc(d.underWay, time.Time.Compare), d.answeredAt)
}

// health is the part of a Status that the loop knows.
func (d *destination) health() Status {
	failing := d.breaker.failing()
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{LastSuccess: d.lastSuccess, LastFailure: d.lastFailure, Waiting: d.waitingTags(), Healthy: true}
	if d.lastError != nil {
		s.LastError, s.Cause = d.lastError.Error(), d.why(d.lastError, d.lastDropped)
	}
	if !d.failingSince.IsZero() {
		// A destination that only rejects may accept the next request.
		until := d.lastFailure
		if failing || s.Waiting > 0 {
			until = time.Now()
		}
		s.Healthy = until.Sub(d.failingSince) < unhealthyAfter
	}
	if d.refused >= refusedInARow {
		s.Healthy = false
	}
	if !s.Healthy {
		s.DownSince = d.failingSince
		if s.DownSince.IsZero() {
			s.DownSince = d.refusedSince
		}
		s.Rejecting = !failing && s.Waiting == 0
	}
	if since := d.unanswered(); !since.IsZero() && time.Since(since) >= slowAfter {
		s.Unanswered = since
	}
	if s.Healthy && !s.Unanswered.IsZero() && time.Since(s.Unanswered) >= silentAfter {
		s.Healthy, s.LastFailure, s.DownSince = false, s.Unanswered, s.Unanswered
		waited := time.Since(s.Unanswered).Truncate(time.Second)
		s.LastError = fmt.Sprintf("no answer for %s; the request is still in progress", waited)
		s.Cause = d.why(&cause.Late{Err: errors.New(s.LastError), Within: waited, Connected: true}, false)
	}
	return s
}

func (d *destination) attempts() map[Outcome]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.counts)
}

// drop counts the items of blocks as dropped for reason in tally. err is what
// the destination said, if it said anything.
func (d *destination) drop(tally map[string]int, blocks []queue.Block, reason string, err error) map[string]int {
	if e := (*Error)(nil); errors.As(err, &e) && e.Rejected {
		d.mu.Lock()
		d.refuse()
		d.mu.Unlock()
	}
	return d.lost(tally, itemsOf(blocks), bytesOf(blocks), reason, err)
}

// tally counts what a destination dropped of blocks that it accepted otherwise.
func (d *destination) tally(blocks []queue.Block, res Result) map[string]int {
	items := itemsOf(blocks)
	dropped := min(res.Dropped, items)
	if dropped <= 0 {
		return nil
	}
	reason := res.Reason
	if reason == "" {
		reason = ReasonPartialSuccess
	}
	var said error
	if res.Message != "" || res.Err != nil {
		said = res.err()
	}
	return d.lost(nil, dropped, bytesOf(blocks)*dropped/items, reason, said)
}

// lost counts dropped items. err is what the destination said, if it said anything.
func (d *destination) lost(tally map[string]int, items, bytes int, reason string, err error) map[string]int {
	what := []any{"items", items, "reason", reason}
	if err != nil {
		why := d.why(err, true)
		what = append(what, "cause", why.Text, "fix", why.Fix, "err", err)
	}
	d.drops.Warn(d.log, reason, "items dropped", what...)
	if d.OnDrop != nil {
		d.OnDrop(items, bytes, reason)
	}
	if tally == nil {
		tally = make(map[string]int)
	}
	tally[reason] += items
	return tally
}
