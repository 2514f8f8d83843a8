package file

import (
	"os"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/positions"
	"collector/pkg/pipeline"
)

// life is a reader without its goroutines, so that a test can end it anywhere.
type life struct {
	*reader
	t *testing.T
}

// live starts a reader of the files.
func (b *bench) live(names ...string) life {
	b.t.Helper()
	var targets []discovery.Target
	for _, name := range names {
		targets = append(targets, labels.FromStrings("__path__", b.path(name)))
	}
	var c Config
	c.SetToDefault()
	c.Targets, c.ForwardTo = discovery.NewSet(targets...), []pipeline.LogsSink{b.sink}
	s, err := New(c, component.Options{Dir: b.storage}.WithDefaults())
	if err != nil {
		b.t.Fatal(err)
	}
	s.patience = b.patience
	if s.store, err = positions.Open(b.storage, positions.Options{Logger: s.opts.Logger, Damaged: s.metrics.damaged, Failed: s.metrics.failed}); err != nil {
		b.t.Fatal(err)
	}
	s.watch = newWatcher(s.opts.Logger, s.changed)
	s.setTargets(targets)
	return life{newReader(s, s.store), b.t}
}

// serveAll reads what there is into the batch.
func (l life) serveAll() {
	l.t.Helper()
	l.source.changed(nil)
	for t := l.source.next(); t != nil; t = l.source.next() {
		if err := l.serve(l.t.Context(), t); err != nil {
			l.t.Fatal(err)
		}
	}
}

// dieAccepted ends the reader after receivers have accepted the batch, and before its
// position is stored.
func (l life) dieAccepted(to *logstest.Sink) {
	l.t.Helper()
	if l.batch.Len() == 0 {
		l.t.Error("no line is in the batch")
	}
	if err := l.prepare(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	if err := to.WriteLogs(l.t.Context(), l.batch.Logs()); err != nil {
		l.t.Fatal(err)
	}
	l.close()
	l.source.store.Close()
}

func TestLinesThatAreSentAgainHaveTheirTimesAndLabels(t *testing.T) {
	const half = 2000
	text := func(from int) string { return logstest.Text(logstest.Numbered(from, from+half)) }
	copyAndTruncate := func(b *bench) {
		data, err := os.ReadFile(b.path("a.log"))
		if err == nil {
			err = os.Truncate(b.path("a.log"), 0)
		}
		if err != nil {
			b.t.Fatal(err)
		}
		b.write("a.log.copy", string(data))
	}
	replace := func(to string) func(*bench) {
		return func(b *bench) { b.rename("a.log", to) }
	}
	remove := func(*bench) {}
	for name, test := range map[string]struct {
		delivered bool         // the first lines are, before the others are read
		live      func(*bench) // what happens to the file after its lines are in the batch
		down      func(*bench) // and after the reader has died
		names     []string
	}{
		"in place":                               {names: []string{"a.log"}},
		"further on":                             {delivered: true, names: []string{"a.log"}},
		"renamed":                                {live: replace("a.log.1"), names: []string{"a.log"}},
		"renamed while down":                     {down: replace("a.log.1"), names: []string{"a.log"}},
		"renamed to a target":                    {live: replace("a.1.log"), names: []string{"a.1.log", "a.log"}},
		"renamed to a target while down":         {down: replace("a.1.log"), names: []string{"a.1.log", "a.log"}},
		"further on, renamed to one while down":  {delivered: true, down: replace("a.1.log"), names: []string{"a.1.log", "a.log"}},
		"copied and truncated":                   {live: copyAndTruncate, names: []string{"a.log"}},
		"copied and truncated while down":        {down: copyAndTruncate, names: []string{"a.log"}},
		"further on, copied and truncated":       {delivered: true, live: copyAndTruncate, names: []string{"a.log"}},
		"further on, copied and truncated, down": {delivered: true, down: copyAndTruncate, names: []string{"a.log"}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.live == nil {
				test.live = remove
			}
			if test.down == nil {
				test.down = remove
			}
			b := newBench(t)
			b.patience.replaced = defaultPatience().replaced
			b.write("a.log", text(0))
			first := b.live(test.names...)
			first.serveAll()
			if test.delivered {
				if err := first.deliver(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			b.append("a.log", text(half))
			first.serveAll()
			b.append("a.log", text(2*half)) // behind what has been read
			test.live(b)
			b.append("a.log", text(3*half))
			first.serveAll()
			first.dieAccepted(b.sink)
			test.down(b)
			b.append("a.log", text(4*half))
			second := b.live(test.names...)
			second.serveAll()
			if err := second.deliver(t.Context()); err != nil {
				t.Fatal(err)
			}
			second.close()
			second.source.store.Close()
			wantOnce(t, b.sink.All(), 5*half)
		})
	}
}

// wantOnce fails if one of so many lines has not come, or with several times or labels.
func wantOnce(t *testing.T, got []logstest.Received, lines int) {
	t.Helper()
	distinct := make(map[logstest.Received]bool)
	var have []string
	for _, e := range got {
		if !distinct[e] {
			distinct[e] = true
			have = append(have, e.Line)
		}
	}
	if len(distinct) == len(got) {
		t.Error("no line was sent twice")
	}
	if len(have) != lines {
		t.Errorf("%d lines are stored as %d", lines, len(have))
	}
	slices.Sort(have)
	if n := len(slices.Compact(have)); n != lines {
		t.Errorf("%d of %d lines are lost", lines-n, lines)
	}
}
