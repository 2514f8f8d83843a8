package docker

import (
	"context"
	"errors"
	"io"
	"time"

	"collector/pkg/backoff"
	"collector/pkg/docker"
)

const (
	// unreadablePause is how often a container is retried whose logging
	// driver can't be read.
	unreadablePause = time.Minute
	// openTimeout bounds the two requests that open an output.
	openTimeout = 30 * time.Second
	// corruptAttempts is how often the Engine may fail to read its log at the
	// same place before what it can't read is given up.
	corruptAttempts = 5
	// settled is how long a connection has to last not to count as a failure.
	settled = 10 * time.Second
	// window is how many messages from the end of a log are read first when
	// reading goes on: to find the cursor from its beginning, the Engine would
	// decode all of the log.
	window = 500
	// lookBack is how much older than the cursor the messages of a window may be: it has
	// to hold one that is older, and the Engine does not decompress files that are older
	// still.
	lookBack = 24 * time.Hour
)

// The states of a tail, for people.
const (
	stateWaiting    = "waiting to connect"
	stateReading    = "reading"
	stateEnded      = "ended"
	stateUnreadable = "driver does not support reading"
	stateRefused    = "reading is not allowed"
	stateGone       = "container does not exist"
)

// errSilent ends a connection that has been silent for too long.
var errSilent = errors.New("the connection was silent")

// errWindow ends a connection that began after the cursor.
var errWindow = errors.New("more was written than the window holds")

// connection is one reading of the container's output.
type connection struct {
	container docker.Container
	reader    frameReader
	windowed  bool // reading may have begun after the cursor
	end       context.CancelCauseFunc
	ctx       context.Context // ends with the connection
}

// run follows the container until ctx ends, or until the container has been
// read to its end and its target has left.
func (t *tail) run(ctx context.Context) {
	defer t.deliveries.Wait()
	retry := backoff.New(100*time.Millisecond, 4*time.Second)
	for ctx.Err() == nil {
		started, before := time.Now(), t.position()
		c, err := t.open(ctx)
		if err == nil {
			err = t.pump(ctx, c)
		}
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errWindow) {
			t.wideAt = t.position()
			continue
		}
		if t.position() != before || time.Since(started) >= settled {
			retry.Reset()
			t.corrupt = 0
		}
		if t.pause(ctx, c.container, err, retry) {
			return
		}
	}
}

func (t *tail) position() cursor {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.read
}

// open asks the Engine about the container and opens its output at the cursor.
// The container it returns is as it was before the output was opened.
func (t *tail) open(ctx context.Context) (c connection, err error) {
	select {
	case t.source.opening <- struct{}{}:
		defer func() { <-t.source.opening }()
	case <-ctx.Done():
		return c, ctx.Err()
	}
	c.ctx, c.end = context.WithCancelCause(ctx)
	timeout := time.AfterFunc(openTimeout, func() { c.end(context.DeadlineExceeded) })
	defer timeout.Stop()
	// A container that is about to be removed makes the Engine take its time to answer an
	// inspection, after which there is no log any more. That a container has ended may be
	// outdated, and only matters for its first reading.
	from := t.position()
	known := false
	if c.container, known = t.source.engine.Known(t.id); !known || !c.container.Running && from != (cursor{}) {
		known = false
		c.container, err = t.source.engine.Inspect(c.ctx, t.id)
	}
	if err == nil {
		t.setName(c.container.Name)
		o := docker.LogOptions{Since: from.since(), Follow: true, TTY: c.container.TTY, Unknown: c.container.LogDriver == ""}
		if c.windowed = from != t.wideAt && from.findable() && !t.damaged; c.windowed {
			o.Tail, o.Since = window, o.Since.Add(-lookBack)
		}
		c.reader, err = t.source.engine.Logs(c.ctx, t.id, o)
	}
	if known && docker.IsUnreadable(err) {
		if inspected, inspectErr := t.source.engine.Inspect(c.ctx, t.id); inspectErr == nil {
			c.container = inspected // whose time of start does not change
		}
	}
	if err != nil {
		c.end(err)
	}
	return c, err
}

// pump reads lines until the output ends. It returns nil when it ended normally.
func (t *tail) pump(ctx context.Context, c connection) error {
	t.connected(c)
	defer t.disconnected(c)
	p := newPump(t.position(), t.source.limit)
	if c.container.LogInPlace {
		p.recent = &t.recent
	}
	for {
		frame, err := c.reader.Next()
		if c.windowed && (err == nil && !p.fits(frame) || err == io.EOF && !p.met) {
			return errWindow
		}
		if err != nil {
			return t.endOfOutput(ctx, c, p, err)
		}
		if frame.Time.IsZero() {
			t.source.metrics.parsingErrors.Inc()
		}
		if stream, line, ok := p.take(frame); ok {
			if err := t.add(ctx, stream, line); err != nil {
				return err
			}
		}
	}
}

// endOfOutput decides what the end of a connection means. While the container
// runs, an unfinished line is read again from its start.
func (t *tail) endOfOutput(ctx context.Context, c connection, p *pump, err error) error {
	if errors.Is(context.Cause(c.ctx), errSilent) {
		return errSilent
	}
	if err != io.EOF {
		return err
	}
	if c.container.Running {
		t.unfinished = p
		return nil
	}
	if err := t.addRest(ctx, p); err != nil {
		return err
	}
	t.finishRead(ctx)
	return nil
}

// addRest takes the unfinished lines of an output that will not go on.
func (t *tail) addRest(ctx context.Context, p *pump) error {
	for stream := range streamCount {
		if line, ok := p.rest(stream); ok {
			if err := t.add(ctx, stream, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// pump is the state of one connection: the lines that have begun, and the
// lines that are skipped.
type pump struct {
	joiners [streamCount]joiner
	resumes [streamCount]resume
	last    [streamCount]int64   // the last timestamp of the stream
	recent  *[streamCount]recent // nil unless the Engine may repeat lines

	met     bool // any frame
	metFrom [streamCount]bool
}

func newPump(from cursor, limit int) *pump {
	p := &pump{}
	for i := range streamCount {
		p.joiners[i].limit = limit
		p.resumes[i] = resumeFrom(from[i])
		p.last[i] = from[i].Time
	}
	return p
}

// fits checks, frame by frame, whether a connection that may have begun after the cursor
// has not: its first frame was read before. A stream that begins at the very time of its
// position may begin with the line there, or after it.
func (p *pump) fits(f docker.Frame) bool {
	stream, ns := streamIndex(f.Stream), f.Time.UnixNano()
	from := p.resumes[stream].from.Time
	if !p.met && (f.Time.IsZero() || ns >= from) || !p.metFrom[stream] && ns == from {
		return false
	}
	p.met, p.metFrom[stream] = true, true
	return true
}

// take returns the line that frame completes, if it does and the line is new.
// A frame without a time has that of the frame before.
func (p *pump) take(frame docker.Frame) (stream int, line rawLine, ok bool) {
	stream = streamIndex(frame.Stream)
	if frame.Time.IsZero() {
		frame.Time = time.Unix(0, p.last[stream])
	}
	p.last[stream] = frame.Time.UnixNano()
	line, ok = p.joiners[stream].add(frame)
	if !ok || p.resumes[stream].skip(line.time) || p.recent != nil && p.recent[stream].repeated(line) {
		return stream, line, false
	}
	return stream, line, true
}

// rest returns the line that has begun and will not go on.
func (p *pump) rest(stream int) (rawLine, bool) {
	j := &p.joiners[stream]
	if !j.pending {
		return rawLine{}, false
	}
	line := j.end()
	if p.resumes[stream].skip(line.time) {
		return line, false
	}
	return line, true
}

func (t *tail) connected(c connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.status.connections > 0 {
		t.source.metrics.reconnects.Inc()
	}
	t.unfinished = nil
	t.endConnection = c.end
	t.status.connections++
	t.status.state = stateReading
}

func (t *tail) disconnected(c connection) {
	c.end(nil)
	c.reader.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endConnection = nil
	t.status.state = stateWaiting
}

// pause waits until another attempt makes sense. It returns true when the tail
// has done its work.
func (t *tail) pause(ctx context.Context, c docker.Container, err error, retry *backoff.Backoff) bool {
	switch {
	case err == nil && !c.Running:
		return t.pauseEnded(ctx, c.StartedAt)
	case err == nil:
		// The container may have ended: the next attempt reads it to the end once more,
		// and finds out. The first is made at once, since the container may be removed in
		// a moment.
		t.setError(nil)
		if t.ended = !t.ended; t.ended {
			return false
		}
	case errors.Is(err, errSilent):
		return false
	case docker.IsNotFound(err):
		return t.pauseGone(ctx, retry)
	case docker.IsUnreadable(err):
		return t.pauseUnreadable(ctx, c, err)
	case docker.IsRefused(err):
		t.setState(stateRefused, err) // the Engine says so once, for good
		return t.pauseFor(ctx, unreadablePause)
	default:
		if _, gone := t.source.inspect(ctx, t.id); docker.IsNotFound(gone) {
			return t.pauseGone(ctx, retry) // the file went before the container
		}
		t.source.metrics.readErrors.Inc()
		t.setError(err)
		if docker.IsCorrupt(err) {
			t.source.metrics.parsingErrors.Inc()
			t.corrupt++
			t.damaged = true
		}
		if t.corrupt >= corruptAttempts {
			t.corrupt = 0
			t.skipDamage(ctx, time.Now())
			t.source.opts.Logger.Warn("the Engine cannot read the log of a container; the damaged part is skipped",
				"container", t.label(), "err", err)
			return false
		}
		t.warn("cannot read the logs of a container; retrying", "err", err)
	}
	return retry.Wait(ctx) != nil
}

// retire ends the tail if its target has left and everything is delivered.
func (t *tail) retire() bool {
	if t.present.Load() {
		return false
	}
	t.deliveries.Wait() // or a later tail would read the same lines again
	return t.source.retire(t)
}

// pauseEnded waits until the container has been started again. It checks when the target
// changes, and now and then while discovery considers the container running.
func (t *tail) pauseEnded(ctx context.Context, startedAt time.Time) bool {
	t.setState(stateEnded, nil)
	poll := backoff.New(500*time.Millisecond, t.source.cfg.RefreshInterval)
	for {
		if t.retire() {
			return true
		}
		var timer <-chan time.Time
		if t.listed() {
			timer = time.After(poll.Step())
		}
		select {
		case <-timer:
		case <-t.wake:
		case <-ctx.Done():
			return true
		}
		if !t.present.Load() {
			continue
		}
		c, err := t.source.inspect(ctx, t.id)
		if docker.IsNotFound(err) {
			t.source.store.markGone(t.id)
			t.setState(stateGone, nil)
		} else if err == nil && (c.Running || c.StartedAt.After(startedAt)) {
			return false
		}
	}
}

// pauseGone waits for a container that doesn't exist any more, or not yet, to
// leave the targets.
func (t *tail) pauseGone(ctx context.Context, retry *backoff.Backoff) bool {
	if p := t.unfinished; p != nil { // it was removed as soon as it ended
		t.unfinished = nil
		if t.addRest(ctx, p) != nil {
			return true
		}
	}
	t.setState(stateGone, nil)
	t.deliveries.Wait()
	t.source.store.markGone(t.id)
	if t.retire() {
		return true
	}
	return backoff.Sleep(ctx, retry.Step(), t.wake) != nil
}

// pauseUnreadable waits a minute, whatever happens in the meantime, unless the
// target leaves.
func (t *tail) pauseUnreadable(ctx context.Context, c docker.Container, err error) bool {
	t.setState(stateUnreadable, err)
	if !c.StartedAt.Equal(t.unreadableSince) {
		t.unreadableSince = c.StartedAt
		t.source.opts.Logger.Warn("the logging driver of a container can't be read; its logs are not collected",
			"container", t.label(), "driver", c.LogDriver, "err", err)
	}
	return t.pauseFor(ctx, unreadablePause)
}

// pauseFor waits, whatever happens in the meantime, unless the target leaves.
func (t *tail) pauseFor(ctx context.Context, d time.Duration) bool {
	deadline := time.Now().Add(d)
	for time.Until(deadline) > 0 {
		if t.retire() {
			return true
		}
		if backoff.Sleep(ctx, time.Until(deadline), t.wake) != nil {
			return true
		}
	}
	return false
}
