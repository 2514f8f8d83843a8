package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/inspect"
	"collector/pkg/pipeline"
)

// Stages is part of inspect.Stager.
func (p *Process) Stages() inspect.Stages {
	var list []inspect.Stage
	outline(p.cfg.Stages, "", 0, &list)
	return inspect.Stages{List: list, Recent: p.samples.Recent, Trace: p.trace}
}

// outline lists stages, and those inside them.
func outline(configs []StageConfig, within string, depth int, list *[]inspect.Stage) {
	for i := range configs {
		path := within + component.Block("stage."+configs[i].name(), indexOf(configs, i))
		*list = append(*list, inspect.Stage{Name: "stage." + configs[i].name(), Path: path, Depth: depth})
		if m := configs[i].Match; m != nil {
			outline(m.Stages, path+"/", depth+1, list)
		}
	}
}

// indexOf is the number of the i-th stage among those of its name.
func indexOf(configs []StageConfig, i int) (n int) {
	for j := range i {
		if configs[j].name() == configs[i].name() {
			n++
		}
	}
	return n
}

// tracer takes entries through stages that are made for it alone, and records what each
// of them does.
type tracer struct {
	env      *env
	registry *prometheus.Registry
	counts   map[string]inspect.StageMetric // as of the last step
	configs  []StageConfig                  // by the index of the stage
	holders  []*tracedHolder
	entry    Entry
	name     string // of the entry that is in the stages
	size     int    // bytes of words and changes
	out      inspect.StageTrace
}

// maxSteps bounds the steps of a trace, and maxTraced the bytes of their words and changes.
const (
	maxSteps  = 2000
	maxTraced = 4 << 20
)

// errTraceEnds makes the stages stop where there are too many steps.
var errTraceEnds = errors.New("the trace is too long")

// trace takes entries through a copy of the stages.
func (p *Process) trace(_ context.Context, in []inspect.StagedEntry) (out inspect.StageTrace, err error) {
	registry := prometheus.NewRegistry()
	v := newEnv(component.Options{Logger: slog.New(slog.DiscardHandler), Metrics: registry}, newMetrics(registry))
	v.databases = maps.Clone(p.env.databases) // New has read them all
	stages, err := newStages(p.cfg.Stages, v)
	if err != nil {
		return out, err
	}
	t := &tracer{env: v, registry: registry}
	t.configs = flat(p.cfg.Stages, nil)
	t.changed() // what is there from the beginning
	defer func() {
		if r := recover(); r != nil && r != errTraceEnds {
			err = fmt.Errorf("a stage fails: %v", r)
		}
		t.out.Cut = t.out.Cut || len(t.out.Steps) == maxSteps
		out = t.out
	}()
	index := 0
	first := t.connect(stages, &index, t.emit)
	now := time.Now()
	for i := range in {
		t.name = strconv.Itoa(i + 1)
		t.entry.begin(in[i].Labels, &in[i].Entry, now)
		first(&t.entry)
	}
	t.flush(now)
	return t.out, nil
}

// flat lists configurations as outline does.
func flat(configs, list []StageConfig) []StageConfig {
	for _, c := range configs {
		list = append(list, c)
		if c.Match != nil {
			list = flat(c.Match.Stages, list)
		}
	}
	return list
}

func (t *tracer) emit(e *Entry) {
	t.out.Output = append(t.out.Output, inspect.StagedEntry{
		Name: t.name, Labels: e.Labels.Held(t.env.cache), Entry: pipeline.Entry{Time: e.Time, Line: strings.Clone(e.Line), Metadata: e.Metadata},
	})
}

// connect connects stages as chain.connect does. The first of them has the index; it
// becomes the one of what follows the last.
func (t *tracer) connect(stages []Stage, index *int, next Emit) Emit {
	if len(stages) == 0 {
		return next
	}
	s, at := stages[0], *index
	*index++
	if m, ok := s.(*match); ok {
		// The stages inside are counted before those that follow, and connected after.
		within := *index
		*index += len(flat(t.configs[at].Match.Stages, nil))
		next = t.connect(stages[1:], index, next)
		return t.match(m, at, t.connect(m.stages, &within, next), next)
	}
	next = t.connect(stages[1:], index, next)
	return t.single(s, at, next)
}

// begin adds a step.
func (t *tracer) begin(stage int, outcome string) int {
	if len(t.out.Steps) == maxSteps {
		panic(errTraceEnds) // out of stages that know nothing of a trace
	}
	t.out.Steps = append(t.out.Steps, inspect.StageStep{Stage: stage, Entry: t.name, Outcome: outcome})
	return len(t.out.Steps) - 1
}

// note records what a step has changed.
func (t *tracer) note(step int, changes []inspect.StageChange) {
	n := 0
	for _, c := range changes {
		n += len(c.Name) + len(c.Before) + len(c.After)
	}
	t.grow(n)
	t.out.Steps[step].Changes = changes
}

// grow ends the trace where there would be too many bytes with n more.
func (t *tracer) grow(n int) {
	if t.size += n; t.size > maxTraced {
		t.out.Cut = true
		panic(errTraceEnds)
	}
}

// match traces a stage with stages inside.
func (t *tracer) match(m *match, stage int, inside, next Emit) Emit {
	step := 0
	var before snapshot
	m.connect(func(e *Entry) {
		t.out.Steps[step].Outcome = inspect.StageEntered
		t.note(step, before.changes(e))
		inside(e)
	})
	return func(e *Entry) {
		words := m.explain(e)
		t.grow(len(words))
		step, before = t.begin(stage, inspect.StageDropped), snapshotOf(e)
		t.out.Steps[step].Words = words
		at := step // by the end, other entries may have come here
		m.Process(e, func(e *Entry) {
			t.out.Steps[at].Outcome = inspect.StageSkipped
			next(e)
		})
		if t.out.Steps[at].Outcome == inspect.StageDropped {
			t.account(at)
		}
	}
}

// tracedHolder is a stage that holds entries back.
type tracedHolder struct {
	Holder
	stage int
	next  Emit
	names []string // of the entries that it holds
}

// single traces a stage that has none inside, as far as the configuration says.
func (t *tracer) single(s Stage, stage int, next Emit) Emit {
	var emit Emit
	if of, ok := s.(*fixed); ok {
		of.connect((&chain{}).connect(of.stages, func(e *Entry) { emit(e) }))
	}
	var holder *tracedHolder
	if of, ok := s.(Holder); ok {
		holder = &tracedHolder{Holder: of, stage: stage, next: next}
		t.holders = append([]*tracedHolder{holder}, t.holders...)
	}
	return func(e *Entry) {
		r := &stageRun{tracer: t, stage: stage, next: next, holder: holder, name: t.name, in: e, before: snapshotOf(e)}
		r.words, r.failed = explain(s, &t.configs[stage], e)
		t.grow(len(r.words))
		r.step = t.begin(stage, inspect.StageDropped)
		emit = r.emit
		process(s, e, emit)
		r.end()
		t.name = r.name
	}
}

// process runs an entry through a stage. Random drops are skipped, so that the trace
// shows what follows.
func process(s Stage, e *Entry, emit Emit) {
	if of, ok := s.(*sampling); ok && of.rate > 0 {
		emit(e)
		return
	}
	s.Process(e, emit)
}

// stageRun is an entry in a stage.
type stageRun struct {
	*tracer
	stage   int
	step    int
	next    Emit
	holder  *tracedHolder
	name    string // of the entry
	in      *Entry
	before  snapshot
	words   string
	failed  bool
	emitted int
	own     bool // the entry itself came out
	joined  bool // it is a part of what came out
}

// emit takes what comes out of the stage.
func (r *stageRun) emit(e *Entry) {
	reason := r.flushed()
	if r.holder != nil && e != r.in {
		r.release(e, reason)
		return
	}
	step := r.step
	r.tracer.name = r.name
	switch {
	case r.emitted > 0:
		r.tracer.name = r.name + "." + strconv.Itoa(r.emitted+1)
		step = r.begin(r.stage, inspect.StagePassed)
	case r.holder != nil && len(r.holder.names) > 0 && e.Line != r.before.line && r.completes():
		r.tracer.name = strings.Join(append(r.holder.names, r.name), "+")
		r.holder.names = nil
	}
	r.emitted++
	r.own = true
	at := &r.out.Steps[step]
	if at.Outcome = inspect.StagePassed; r.tracer.name != at.Entry {
		at.As = r.tracer.name
	}
	r.note(step, r.before.changes(e)) // the trace may end here
	if step == r.step {
		r.account(step)
	}
	r.next(e)
}

// completes reports whether the stage holds less than it was given.
func (r *stageRun) completes() bool {
	_, lines, _ := r.holder.Held()
	return lines < len(r.holder.names)
}

// flushed is why a block of lines came out.
func (r *stageRun) flushed() string {
	if r.holder == nil {
		return ""
	}
	for _, m := range r.changed() {
		if m.Name == "collector_process_multiline_blocks_total" {
			return m.Labels["reason"]
		}
	}
	return ""
}

// release takes a block that came out because of the entry.
func (r *stageRun) release(e *Entry, reason string) {
	if reason == endedByLines {
		r.holder.names = append(r.holder.names, r.name)
		r.joined = true
	}
	r.released(r.holder, e, cmp.Or(endings[reason], "The stage holds too much."))
	r.tracer.name = r.name
}

// released forwards a block that a stage held.
func (t *tracer) released(h *tracedHolder, e *Entry, words string) {
	t.name = cmp.Or(strings.Join(h.names, "+"), "block")
	h.names = nil
	step := t.begin(h.stage, inspect.StageReleased)
	t.out.Steps[step].Words = words
	t.note(step, []inspect.StageChange{{What: inspect.ChangedLine, After: strings.Clone(e.Line), Added: true}})
	h.next(e)
}

// endings are why a block of lines ends.
var endings = map[string]string{
	endedByFirstLine: "The next block begins.",
	endedByLines:     "The block has as many lines as max_lines allows.",
	endedByBytes:     "The block would be too long with the next line.",
}

// end records what became of an entry that has not come out.
func (r *stageRun) end() {
	step := &r.out.Steps[r.step]
	step.Words, step.Failed = r.words, r.failed
	switch {
	case r.own:
		return
	case r.holder == nil:
		r.account(r.step)
		return
	}
	step.Outcome = inspect.StageHeld
	if !r.joined {
		r.holder.names = append(r.holder.names, r.name)
	}
}

// account records which metrics have changed. A counter of dropped entries says why one
// was dropped.
func (t *tracer) account(step int) {
	for _, m := range t.changed() {
		s := &t.out.Steps[step]
		switch {
		case m.Name == "loki_process_dropped_lines_total":
			if s.Outcome == inspect.StageDropped {
				s.Reason = m.Labels["reason"]
			}
		case !strings.HasPrefix(m.Name, "collector_process_"):
			s.Metrics = append(s.Metrics, m)
		}
	}
}

// flush makes the holders emit what they hold, in order, as when no further line comes.
// What is held until its rest comes stays.
func (t *tracer) flush(now time.Time) {
	for _, h := range t.holders {
		var due []labels.Labels
		h.Each(func(b Block) bool {
			if b.Lines > 0 && !b.Due.IsZero() {
				due = append(due, b.Labels)
			}
			return b.Lines > 0
		})
		for _, stream := range due {
			h.Flush(stream, now, func(e *Entry) {
				t.released(h, e, fmt.Sprintf("No further line comes within %s (max_wait_time).", t.configs[h.stage].Multiline.MaxWaitTime))
			})
		}
		t.changed()
	}
}
