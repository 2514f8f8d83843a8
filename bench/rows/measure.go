package rows

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"collector-bench/contender"
	"collector-bench/control"
	"collector-bench/engine"
	"collector-bench/generate"
	"collector-bench/proc"
	"collector-bench/receive"
	"collector-bench/table"
)

const (
	// warmUp is how long a program works before it is measured.
	warmUp = 4 * time.Second
	// margin is how much longer containers write than is measured.
	margin = 2 * time.Second
	// reading is how often RSS is read.
	reading = 250 * time.Millisecond
	// stalled is how long nothing may arrive until what is missing is lost.
	stalled = 10 * time.Second
	// resting is how long a program has rested when its RSS at rest is read.
	resting = 3 * time.Second
)

// meter measures, with one Engine for all rows that need one.
type meter struct {
	Options
	engine *engine.Engine
}

// Measure measures all that o asks for and calls each with every measurement. What can't
// be measured is reported by skip; an error is returned only if nothing can continue.
func Measure(ctx context.Context, o Options, each func(table.Measurement), skip func(what string, why error)) error {
	rows, err := list(o)
	if err != nil {
		return err
	}
	who, err := contenders(o)
	if err != nil {
		return err
	}
	m := &meter{Options: o}
	defer func() {
		if m.engine != nil {
			m.engine.Stop()
		}
	}()
	for range o.Runs {
		for _, r := range rows {
			for _, c := range who {
				if !c.Can(r.kind) {
					continue
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
				got, err := m.measure(ctx, r, c)
				if err != nil {
					skip(r.name+", "+c.Name, err)
					continue
				}
				each(got)
			}
		}
	}
	return nil
}

// measure lets c do r once.
func (m *meter) measure(ctx context.Context, r row, c contender.Contender) (table.Measurement, error) {
	out := table.Measurement{Row: r.name, Who: c.Name, Unit: r.unit}
	if err := m.needEngine(ctx, r); err != nil {
		return out, err
	}
	if r.asks() {
		err := m.measurePages(ctx, r, c, &out)
		return out, err
	}
	receiver, err := control.Start(ctx, m.Self, "receive", fmt.Sprintf("-zstd=%v", r.compression != "snappy"))
	if err != nil {
		return out, err
	}
	defer receiver.Stop()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	job := contender.Job{Kind: r.kind, Dir: dir, OutHTTP: receiver.Addresses[0], OutGRPC: receiver.Addresses[1], Compression: r.compression}
	for _, address := range []*string{&job.Listen, &job.In} {
		if *address, err = contender.FreeAddress(); err != nil {
			return out, err
		}
	}
	w := m.workOf(r)
	defer w.close()
	if err := w.prepare(ctx, &job); err != nil {
		return out, err
	}
	p, err := c.Start(ctx, job)
	if err != nil {
		return out, err
	}
	defer p.Stop()
	out.Ready = p.Ready
	s := &session{meter: m, row: r, receiver: receiver, process: p}
	if err := s.run(ctx, w, job, &out); err != nil {
		return out, fmt.Errorf("%w; log of %s:\n%s", err, c.Name, p.Log())
	}
	return out, nil
}

// needEngine starts the Engine before the first row that needs one.
func (m *meter) needEngine(ctx context.Context, r row) error {
	if m.engine != nil || !r.usesEngine() {
		return nil
	}
	if err := engine.Missing(); err != nil {
		return err
	}
	var err error
	m.engine, err = engine.Start(ctx, m.Self)
	return err
}

// session is one program at one kind of work, when all is running.
type session struct {
	*meter
	row      row
	receiver *control.Child
	process  *contender.Process
}

// moment is all readings of one time.
type moment struct {
	at      time.Time
	usage   proc.Usage
	engine  time.Duration
	arrived receive.Tally
}

func (s *session) run(ctx context.Context, w work, job contender.Job, out *table.Measurement) error {
	begin, err := w.begin(ctx, job)
	if err != nil {
		return err
	}
	if err := sleep(ctx, time.Until(begin.Add(warmUp))); err != nil {
		return err
	}
	before, err := s.moment(ctx, receive.Window)
	if err != nil {
		return err
	}
	rss, err := s.watch(ctx)
	if err != nil {
		return err
	}
	after, err := s.moment(ctx, receive.Read)
	if err != nil {
		return err
	}
	total, err := w.end(ctx)
	if err != nil {
		return err
	}
	arrived, err := s.drained(ctx, total)
	if err != nil {
		return err
	}
	if err := sleep(ctx, resting); err != nil {
		return err
	}
	rest, err := proc.Read(s.process.Pid)
	if err != nil {
		return err
	}
	fill(out, before, after, rss)
	// The kernel's peak is less exact than what is resident now.
	out.Rest, out.Peak = rest.RSS, max(rest.Peak, int64(slices.Max(rss)))
	out.Problem, out.Note = judge(total, arrived, uint64(s.Series))
	return s.process.Alive()
}

func fill(out *table.Measurement, before, after moment, rss []float64) {
	out.Elapsed = after.at.Sub(before.at)
	out.CPU, out.Engine = after.usage.CPU-before.usage.CPU, after.engine-before.engine
	out.Items, out.Wire = after.arrived.Items-before.arrived.Items, after.arrived.Wire-before.arrived.Wire
	out.P99 = after.arrived.P99
	out.RSS, out.PSS = int64(table.Median(rss)), after.usage.PSS
}

// moment reads everything, and asks the receiver question.
func (s *session) moment(ctx context.Context, question string) (moment, error) {
	var now moment
	arrived, err := s.ask(ctx, question)
	if err != nil {
		return now, err
	}
	now.arrived, now.at = arrived, time.Now()
	if now.usage, err = proc.Read(s.process.Pid); err != nil {
		return now, err
	}
	if s.row.usesEngine() {
		usage, err := proc.Read(s.engine.Pid)
		now.engine = usage.CPU
		return now, err
	}
	return now, nil
}

// ask asks the receiver for the signal that the row is about.
func (s *session) ask(ctx context.Context, question string) (receive.Tally, error) {
	var all receive.Tallies
	if err := s.receiver.Ask(ctx, question, &all); err != nil {
		return receive.Tally{}, err
	}
	switch s.row.kind {
	case contender.Scrape:
		return all.Samples, nil
	case contender.OTLP:
		return all.Spans, nil
	case contender.Profiles:
		return all.Profiles, nil
	default:
		return all.Lines, nil
	}
}

// watch reads RSS for as long as the row is measured, at least once.
func (s *session) watch(ctx context.Context) ([]float64, error) {
	var rss []float64
	tick := time.NewTicker(reading)
	defer tick.Stop()
	for end := time.After(s.row.duration); ; {
		resident, err := proc.Resident(s.process.Pid)
		if err != nil {
			return nil, err
		}
		rss = append(rss, float64(resident))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end:
			return rss, nil
		case <-tick.C:
		}
	}
}

// drained waits until total has arrived, or nothing arrives any more.
func (s *session) drained(ctx context.Context, total generate.Total) (receive.Tally, error) {
	var last receive.Tally
	for since := time.Now(); ; {
		now, err := s.ask(ctx, receive.Read)
		if err != nil {
			return now, err
		}
		if now.Items != last.Items {
			since = time.Now()
		}
		if last = now; now.Items >= total.Items || time.Since(since) > stalled {
			return now, nil
		}
		if err := sleep(ctx, reading); err != nil {
			return now, err
		}
	}
}

// judge compares what was made with what has arrived: problem is "" if all has arrived
// once. A page of that many samples is not a loss if the program itself reports that the
// scrape failed, which happens by timeouts on a busy machine; the note says how often.
func judge(made generate.Total, arrived receive.Tally, page uint64) (problem, note string) {
	missing := made.Items - min(arrived.Items, made.Items)
	if arrived.Failed > 0 {
		note = fmt.Sprintf("%d of %d scrapes timed out", arrived.Failed, arrived.Failed+arrived.Items/page)
	}
	switch {
	case arrived.Bad > 0:
		problem = fmt.Sprintf("%d of %d requests could not be read", arrived.Bad, arrived.Requests)
	case made.Items == 0:
		problem = "there was nothing to do"
	case missing > arrived.Failed*page:
		problem = fmt.Sprintf("%d of %d lost", missing, made.Items)
	case arrived.Items > made.Items:
		problem = fmt.Sprintf("%d of %d repeated", arrived.Items-made.Items, made.Items)
	case missing == 0 && arrived.Sum != made.Sum:
		problem = "as many arrived as were made, but some are lost and others repeated"
	case made.Behind > made.Items/50:
		problem = fmt.Sprintf("the rate was not kept: %d too few", made.Behind)
	}
	return problem, note
}
