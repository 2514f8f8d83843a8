package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/durable"
	"collector/pkg/pipeline"
)

const (
	// journalFile is the journal's name in the component's directory.
	journalFile = "held"
	// stopPatience bounds how long the end of Run waits for a receiver.
	stopPatience = 1500 * time.Millisecond
	// syncEvery bounds what a power cut can take from the journal.
	syncEvery = time.Second
)

// Run reads the journal, forwards what is due, and keeps the journal until ctx
// ends. What is held then is forwarded, or stays in the journal.
func (p *Process) Run(ctx context.Context) error {
	p.lock <- struct{}{}
	p.running = ctx
	err := p.start()
	if err != nil {
		p.unlockDir()
	}
	journaled := p.journal != nil
	p.release()
	if err != nil {
		return err
	}
	if !journaled {
		<-ctx.Done()
		p.lock <- struct{}{} // of calls that whileRunning has ended
		p.open = false
		p.release()
		return nil
	}
	for {
		var timer <-chan time.Time
		if pause, ok := p.pause(ctx); ok {
			timer = time.After(pause)
		}
		select {
		case <-ctx.Done():
			return p.stop()
		case <-p.wake:
		case <-timer:
			p.work(ctx)
		}
	}
}

// start reads the journal of the time before, and makes it again. A component that
// holds nothing has none, but sends what is in one that it had. It holds the
// lock.
func (p *Process) start() error {
	p.recent, p.backlog, p.next = newRecentCalls(), output{}, 0
	path := filepath.Join(p.dir, journalFile)
	if info, err := os.Lstat(path); len(p.chain.holders) > 0 || err == nil && info.Size() > 0 {
		if err := p.build(true); err != nil {
			return err
		}
		if err := p.openJournal(path); err != nil {
			return err
		}
	}
	p.open = true
	if !isClosed(p.started) {
		close(p.started)
	}
	p.show()
	return nil
}

// openJournal reads the journal, and leaves it open. It holds the lock.
func (p *Process) openJournal(path string) error {
	if err := durable.Own(p.dir); err != nil {
		return fmt.Errorf("create the directory for held log entries: %w", err)
	}
	var err error
	if p.dirLock, err = durable.Lock(p.dir); err != nil {
		return fmt.Errorf("open held log entries in %s: %w", p.dir, err)
	}
	data, err := durable.ReadFile(path, 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read held log entries: %w", err)
	}
	if damaged := p.replay(data); damaged > 0 {
		p.metrics.damage.Add(float64(damaged))
		p.opts.Logger.Error("the journal of held log entries is damaged; what is readable is used", "file", path, "places", damaged)
	}
	p.recent.armAll()
	if p.journal, err = openJournal(path); err != nil {
		p.journal = nil
		return fmt.Errorf("open the journal of held log entries: %w", err)
	}
	if len(data) > 0 {
		p.report(p.compact()) // without room for a new one, the old one is kept
	}
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// restoredGrace is what a block that was held when the program ended gets beside
// its time to wait: its source first has to find the place from which to read on.
// What comes after it may wait as long, once.
const restoredGrace = 30 * time.Second

// replay restores the stages' state from the journal, and leaves in the backlog what was
// not forwarded.
func (p *Process) replay(data []byte) (damaged int) {
	now := time.Now().Add(restoredGrace)
	p.into = &p.backlog
	defer func() { p.into = nil }()
	return readJournal(data, func(r record) {
		switch r.kind {
		case recordInput, recordInputExtracted:
			//lint:ignore SA1012 nobody waits, which the stages tell by this
			p.take(nil, &call{arrival: r.arrival, goesOn: r.goesOn}, now)
			p.into = &p.backlog
		case recordFlush:
			p.chain.flush(r.stage, r.labels, now)
		case recordDone:
			p.backlog = output{}
		case recordHeld, recordHeldExtracted:
			p.restore(r, now)
		case recordOut:
			for _, e := range r.entries {
				p.backlog.add(r.labels, e)
			}
		case recordRecent:
			p.recent.restore(r.labels, r.marks, now)
		}
	})
}

// restore takes a record of a snapshot. What a removed stage held comes out as it is.
func (p *Process) restore(r record, now time.Time) {
	switch {
	case r.stage < len(p.chain.holders):
		h := &p.chain.holders[r.stage]
		h.Restore(r.held, now, h.next)
	case r.held.Lines > 0:
		p.backlog.add(r.held.Labels, pipeline.Entry{Time: r.held.Time, Line: string(r.held.Text), Metadata: r.held.Metadata})
	}
}

// compact writes a new journal of what is held and what must be forwarded.
func (p *Process) compact() error {
	buf := p.chain.snapshot(nil)
	buf = p.recent.snapshot(buf, false)
	for _, s := range p.backlog.streams {
		buf = appendOut(buf, s)
	}
	return p.journal.replace(buf)
}

// pause is how long Run may wait; ok is false if there is nothing to wait for.
func (p *Process) pause(ctx context.Context) (pause time.Duration, ok bool) {
	if p.acquire(ctx) != nil {
		return 0, false
	}
	defer p.release()
	pause, ok = syncEvery, p.journal.size > 0 || !p.backlog.empty()
	if due, any := p.chain.due(); any && !p.journal.failing {
		pause, ok = max(0, min(pause, time.Until(due))), true
	}
	p.timed, p.looks = ok, time.Now().Add(pause)
	return pause, ok
}

// rouse wakes Run to look at the clock, unless it will do so in time anyway.
func (p *Process) rouse() {
	if due, any := p.chain.due(); !p.timed || any && due.Before(p.looks) {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// work forwards the blocks that are due, and maintains the journal.
func (p *Process) work(ctx context.Context) {
	if p.acquire(ctx) != nil {
		return
	}
	err := p.drain(ctx)
	if err == nil {
		now := time.Now()
		err = p.flush(ctx, func(holder int) []labels.Labels { return p.chain.expired(holder, now) })
	}
	if err == nil {
		p.recent.expire(time.Now())
		p.tidy()
	}
	file := p.journal.unsynced()
	p.show()
	p.release()
	if file != nil {
		if err := file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			p.opts.Logger.Warn("cannot sync the journal of held log entries", "err", err)
		}
	}
}

// flush ends the blocks that are listed for each Holder, one after the other, as what
// comes of the first may be held by the next, and forwards them. What cannot be recorded
// in the journal stays: it would be sent again.
func (p *Process) flush(ctx context.Context, list func(holder int) []labels.Labels) error {
	for i := range p.chain.holders {
		streams := list(i)
		var buf []byte
		for _, stream := range streams {
			buf = appendFlush(buf, i, stream)
		}
		if err := p.write(buf); err != nil {
			return err
		}
		p.into, p.env.ctx = &p.backlog, ctx
		now := time.Now()
		for _, stream := range streams {
			p.chain.flush(i, stream, now)
		}
		p.into, p.env.ctx, p.env.err = nil, nil, nil
	}
	return p.drain(ctx)
}

// tidy empties the journal when nothing is held. It holds the lock.
func (p *Process) tidy() {
	if held, _, _ := p.chain.held(); held == 0 && p.recent.none() {
		p.report(p.journal.truncate())
	}
}

// stop forwards what is held and closes the journal. Streams whose block was cut by that
// are remembered, so that its later lines become one entry too.
func (p *Process) stop() error {
	p.lock <- struct{}{} // of calls that whileRunning has ended
	defer p.release()
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	err := p.drain(ctx)
	if err == nil {
		cut := p.chain.streams(nil)
		if err = p.flush(ctx, p.chain.blocks); err == nil {
			p.report(p.journal.replace(p.recent.snapshot(p.chain.kept(cut), true)))
		}
	}
	if err != nil {
		p.opts.Logger.Warn("cannot forward held log entries; they are kept", "err", err)
	}
	p.journal.close()
	p.journal, p.open = nil, false
	p.unlockDir()
	return nil
}

// unlockDir lets others use the folder. It holds the lock.
func (p *Process) unlockDir() {
	if p.dirLock != nil {
		p.dirLock.Close()
		p.dirLock = nil
	}
}

// report counts and logs a failure to keep the journal. It holds the lock.
func (p *Process) report(err error) {
	if err == nil {
		p.journal.failing = false
		return
	}
	p.metrics.journalErrors.Inc()
	if !p.journal.failing {
		p.opts.Logger.Error("cannot store held log entries; sources are waiting", "dir", p.dir, "err", err)
	}
	p.journal.failing = true
}
