package rows

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"collector-bench/contender"
	"collector-bench/control"
	"collector-bench/engine"
	"collector-bench/generate"
)

// work is what a program does while it is measured.
type work interface {
	// prepare starts what has to be there before the program starts.
	prepare(context.Context, *contender.Job) error
	// begin begins the work of the program, which is ready, and returns from when
	// on there is work.
	begin(context.Context, contender.Job) (time.Time, error)
	// end stops the work and returns how much it was.
	end(context.Context) (generate.Total, error)
	// close releases everything, whether or not the work has ended.
	close()
}

func (m *meter) workOf(r row) work {
	switch r.kind {
	case contender.Scrape:
		return &scraped{self: m.Self, targets: m.Targets, series: m.Series}
	case contender.OTLP:
		return &pushes{self: m.Self, arguments: func(j contender.Job) []string {
			return []string{"spans", "-to=" + j.In, "-rate=" + number(r.rate), "-compression=" + r.compression}
		}}
	case contender.Profiles:
		return &pushes{self: m.Self, arguments: func(j contender.Job) []string {
			return []string{"profiles", "-to=http://" + j.In, "-rate=" + number(r.rate)}
		}}
	case contender.Logs:
		return newContainers(m.engine, chatty, r)
	default:
		return newContainers(m.engine, idle, r)
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// scraped are metrics pages, which the program scrapes from its start on.
type scraped struct {
	self            string
	targets, series int
	child           *control.Child
}

func (p *scraped) prepare(ctx context.Context, j *contender.Job) (err error) {
	p.child, err = control.Start(ctx, p.self, "targets", "-targets="+strconv.Itoa(p.targets), "-series="+strconv.Itoa(p.series))
	if err == nil {
		j.Targets = p.child.Addresses
	}
	return err
}

func (p *scraped) begin(context.Context, contender.Job) (time.Time, error) { return time.Now(), nil }

func (p *scraped) end(ctx context.Context) (total generate.Total, err error) {
	return total, p.child.Ask(ctx, generate.Stop, &total)
}

func (p *scraped) close() { stop(p.child) }

// pushes are requests that are sent to the program.
type pushes struct {
	self      string
	arguments func(contender.Job) []string
	child     *control.Child
}

func (*pushes) prepare(context.Context, *contender.Job) error { return nil }

func (p *pushes) begin(ctx context.Context, j contender.Job) (_ time.Time, err error) {
	p.child, err = control.Start(ctx, p.self, p.arguments(j)...)
	return time.Now(), err
}

func (p *pushes) end(ctx context.Context) (total generate.Total, err error) {
	return total, p.child.Ask(ctx, generate.Stop, &total)
}

func (p *pushes) close() { stop(p.child) }

func stop(c *control.Child) {
	if c != nil {
		c.Stop()
	}
}

// containers write log lines, all from the same moment on.
type containers struct {
	engine   *engine.Engine
	count    int
	schedule generate.Schedule

	dir   string // where they see the signal to begin
	begun time.Time
}

// signal is the file of the signal, in a container and in containers.dir.
const signal = "begin"

func newContainers(e *engine.Engine, count int, r row) *containers {
	lasting := warmUp + r.duration + margin
	return &containers{engine: e, count: count, schedule: generate.Schedule{Rate: int(r.rate), Size: lineSize, Count: uint64(r.rate * lasting.Seconds())}}
}

func (c *containers) prepare(_ context.Context, j *contender.Job) (err error) {
	j.Engine = c.engine.Host
	c.dir, err = os.MkdirTemp("", "bench")
	return err
}

func (c *containers) begin(ctx context.Context, _ contender.Job) (time.Time, error) {
	for n := range c.count {
		err := c.engine.Run(ctx, fmt.Sprintf("bench-%d", n), c.dir+":/signal:ro", "lines", "-signal=/signal/"+signal,
			"-rate="+strconv.Itoa(c.schedule.Rate), "-size="+strconv.Itoa(c.schedule.Size), "-count="+strconv.FormatUint(c.schedule.Count, 10))
		if err != nil {
			return time.Time{}, err
		}
	}
	c.begun = time.Now().Add(time.Second)
	return c.begun, generate.Signal(filepath.Join(c.dir, signal), c.begun)
}

func (c *containers) end(ctx context.Context) (generate.Total, error) {
	one := c.schedule.Total()
	return generate.Total{Items: uint64(c.count) * one.Items, Sum: uint64(c.count) * one.Sum}, sleep(ctx, time.Until(c.begun.Add(c.schedule.Lasting())))
}

func (c *containers) close() {
	c.engine.Clear()
	os.RemoveAll(c.dir)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
