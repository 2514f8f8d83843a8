package journal

import (
	"context"
	"testing"
	"time"

	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/positions"
)

// live starts a reader without its goroutine, so that a test can end it anywhere.
func (b *bench) live() *reader {
	b.t.Helper()
	s := b.newSource()
	store, err := positions.Open(b.storage, positions.Options{Logger: s.opts.Logger, Damaged: s.metrics.damaged, Failed: s.metrics.failed})
	if err != nil {
		b.t.Fatal(err)
	}
	return newReader(s, store)
}

// readAll reads what there is into the batch.
func (r *reader) readAll(ctx context.Context, t *testing.T) {
	t.Helper()
	r.look()
	r.refreshAll()
	r.memory = r.spans()
	if err := r.read(ctx); err != nil {
		t.Fatal(err)
	}
}

// A reader that dies after receivers have accepted lines, and before their position is
// stored, sends them again with the same times, even if it finds the entries of several
// files in another order.
func TestEntriesThatAreSentAgainHaveTheirTimes(t *testing.T) {
	for _, split := range []bool{false, true} { // dies twice, the second time with fewer lines in the batch
		sentAgain(t, split)
	}
}

func sentAgain(t *testing.T, split bool) {
	b := newBench(t)
	begin := time.Now().Add(-time.Minute).Truncate(time.Second)
	at := func(µs int) time.Time { return begin.Add(time.Duration(µs) * time.Microsecond) }
	system, user := b.file(1, machine, "system.journal"), b.file(2, machine, "user-1000.journal")
	system.at(at(0), "MESSAGE=0").write()
	user.at(at(0), "MESSAGE=1").write()
	first := b.live()
	first.readAll(t.Context(), t)
	if err := first.deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	system.at(at(10), "MESSAGE=2").at(at(30), "MESSAGE=3").at(at(30), "MESSAGE=4").write()
	first.readAll(t.Context(), t)
	user.at(at(20), "MESSAGE=5").at(at(30), "MESSAGE=6").write() // readable later
	first.readAll(t.Context(), t)
	first.store.Put(first.prepare())
	if err := b.sink.WriteLogs(t.Context(), first.batch.Logs()); err != nil {
		t.Fatal(err)
	}
	first.close()
	first.store.Close()

	system.at(at(30), "MESSAGE=7").write()
	if split {
		between := b.live()
		between.look()
		between.refreshAll()
		for between.batch.Len() < 2 {
			if f := between.choose(); !f.ready {
				between.fill(f)
			} else {
				between.take(f)
			}
		}
		if err := between.deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		between.close()
		between.store.Close()
	}
	second := b.live()
	second.readAll(t.Context(), t)
	if err := second.deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.close()
	second.store.Close()
	stored := make(map[logstest.Received]bool)
	lines := make(map[string]bool)
	for _, e := range b.sink.All() {
		stored[e], lines[e.Line] = true, true
	}
	if len(lines) != 8 || len(stored) != 8 || len(b.sink.All()) != 8+5 {
		t.Errorf("%d lines are stored as %d; %d were sent: %+v", len(lines), len(stored), len(b.sink.All()), b.sink.All())
	}
}

func FuzzTimes(f *testing.F) {
	f.Add(`{"01":{"Through":3,"Moved":{"2":5}},"02":null}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, value string) {
		read := readTimes(value)
		if again := encode(readTimes(encode(read))); again != encode(read) {
			t.Errorf("%s became %s", encode(read), again)
		}
	})
}
