package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

// As in Alloy, firstline sees the line ends that are trimmed.
func TestFirstLinesAreFoundBeforeLineEndsAreTrimmed(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.cfg.Stages[0].Multiline.FirstLine = "^A$"
		b.start()
		b.write(linesAt("a", 1, "A", "b", "A\n", "A"))
		b.want("A\nb\nA")
	})
}

// The end of a component does not wait for a caller that waits for a receiver: the caller
// gets a retryable error.
func TestShutdownReleasesWaitingCallers(t *testing.T) {
	for name, lines := range map[string][]string{"held": {"A1", " a", "A2"}, "passing": {"x"}} {
		t.Run(name, func(t *testing.T) {
			inProcessBubble(t, func(b *processBench) {
				b.sink.Set(func() { b.sink.Fail = func(int) error { return pipeline.ErrFull } })
				logs := pipeline.Logs{Streams: []pipeline.Stream{linesAt("stderr", 1, lines...)}}
				result := make(chan error, 1)
				p := b.p
				go func() { result <- p.WriteLogs(context.Background(), logs) }()
				b.pass(time.Second)
				began := time.Now()
				b.end()
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("the end took %s", took)
				}
				synctest.Wait()
				select {
				case err := <-result:
					if !errors.Is(err, pipeline.ErrClosed) {
						t.Errorf("WriteLogs: %v", err)
					}
				default:
					t.Error("WriteLogs waits still")
					b.sink.Set(func() { b.sink.Fail = nil })
					<-result
				}
				b.sink.Set(func() { b.sink.Fail = nil })
				b.start()
				b.write(logs.Streams...)
				b.pass(restoredGrace + 5*time.Second)
				if name == "held" {
					b.want("A1\n a", "A2")
				} else {
					b.want("x")
				}
			})
		})
	}
}

// While the journal cannot be written, a block that is due is retried, but
// not without a pause.
func TestABlockThatCannotBeJournaledIsTriedAgain(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a"))
		b.p.lock <- struct{}{}
		b.p.journal.file.Close()
		b.p.release()
		b.pass(10 * time.Second)
		b.want()
		if n := logstest.ValueOf(b.p.metrics.journalErrors); n < 2 || n > 20 {
			t.Errorf("%v errors are counted", n)
		}
		b.p.lock <- struct{}{}
		var err error
		if b.p.journal.file, err = os.OpenFile(b.p.journal.path, os.O_WRONLY|os.O_APPEND, 0); err != nil {
			t.Fatal(err)
		}
		b.p.release()
		b.pass(2 * time.Second)
		b.want("A1\n a")
	})
}

// With more held than the journal is rewritten at, not every call rewrites it.
func TestALargeJournalIsNotRewrittenByEachCall(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.cfg.Stages[0].Multiline.MaxWaitTime = time.Hour
		b.start()
		for stream := range 2 * journalGrowth / (200 << 10) {
			b.write(linesAt(strings.Repeat("s", stream+1), 1, "A"+strings.Repeat("x", 200<<10)))
		}
		rewritten := 0
		stat := func() os.FileInfo {
			info, err := os.Stat(filepath.Join(b.dir, journalFile))
			if err != nil {
				t.Fatal(err)
			}
			return info
		}
		for i := range 10 {
			before := stat()
			b.write(linesAt("s", 2+i, "b"))
			if !os.SameFile(before, stat()) {
				rewritten++
			}
		}
		if rewritten > 1 {
			t.Errorf("10 calls have rewritten it %d times", rewritten)
		}
	})
}

// A disk too full for a new journal does not keep the old one from being used.
func TestAJournalThatCannotBeRewrittenIsUsed(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a"))
		b.kill()
		if err := os.Mkdir(filepath.Join(b.dir, journalFile+".new"), 0o700); err != nil {
			t.Fatal(err)
		}
		b.start()
		b.write(linesAt("stderr", 1, "A1", " a", " b"))
		b.kill()
		b.start()
		b.write(linesAt("stderr", 1, "A1", " a", " b", " c"))
		b.pass(4 * time.Second)
		b.want("A1\n a\n b\n c")
	})
}

func TestARejectedEntryHasNotPassed(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		refusing := &logstest.Sink{Fail: func(int) error { return pipeline.Permanent(errors.New("bad")) }}
		b.p.cfg.ForwardTo = append(b.p.cfg.ForwardTo, refusing)
		b.write(linesAt("stderr", 1, "A1", "A2", "A3"))
		b.want("A1", "A2")
		dropped, passed := logstest.ValueOf(b.p.metrics.dropped.WithLabelValues(reasonRejected)), logstest.ValueOf(b.p.metrics.passed)
		if dropped != 2 || passed != 0 {
			t.Errorf("%v entries were counted as dropped, %v as passed", dropped, passed)
		}
	})
}

// Of two receivers, one that has accepted what the other does not accept yet does not get
// it again.
func TestAReceiverThatWaitsDoesNotRepeatTheOther(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		other := &logstest.Sink{Fail: func(call int) error {
			if call < 4 {
				return pipeline.ErrFull
			}
			return nil
		}}
		b.p.cfg.ForwardTo = append(b.p.cfg.ForwardTo, other)
		logs := pipeline.Logs{Streams: []pipeline.Stream{linesAt("stderr", 1, "A1", " a", "A2")}}
		ctx, cancel := context.WithTimeout(b.t.Context(), 150*time.Millisecond)
		defer cancel()
		if err := b.p.WriteLogs(ctx, logs); err == nil {
			t.Fatal("WriteLogs has waited for no receiver")
		}
		b.write(logs.Streams...)
		b.want("A1\n a")
		if got := other.Lines(); len(got) != 1 || got[0] != "A1\n a" {
			t.Errorf("the other has %q", got)
		}
	})
}

// What is replayed from the journal does not count as received.
func TestARestartCountsNothingAsReceived(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a"))
		b.kill()
		b.start()
		if n := logstest.ValueOf(b.p.metrics.taken); n != 0 {
			t.Errorf("%v entries were counted as taken", n)
		}
	})
}

// A configuration may be given fewer lines than a block has already.
func TestABlockOfMoreLinesThanAllowedEnds(t *testing.T) {
	cfg := *multilineConfig("^A").Stages[0].Multiline
	cfg.MaxLines = 2
	m, err := newMultiline(cfg, testEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	held := Block{Labels: linesAt("a", 1).Labels, Lines: 3, Text: []byte("A\nb\nc")}
	m.Restore(held, time.Now(), func(e *Entry) { got = append(got, e.Line) })
	if len(got) != 1 || got[0] != "A\nb\nc" {
		t.Errorf("entries %q", got)
	}
}

// stdout and stderr may have the same labels, and be grouped differently when they are
// sent again.
func TestStreamsWithTheSameLabelsAreRepeated(t *testing.T) {
	both := func(out, err pipeline.Stream, late ...pipeline.Stream) []pipeline.Stream {
		for _, s := range late {
			out.Entries = append(out.Entries, s.Entries...)
		}
		return []pipeline.Stream{out, err}
	}
	for name, again := range map[string][][]pipeline.Stream{
		"alike":     {both(linesAt("s", 1, "A1", " a"), linesAt("s", 3, " b", " c")), {linesAt("s", 5, " d")}},
		"with more": {both(linesAt("s", 1, "A1", " a"), linesAt("s", 3, " b", " c"), linesAt("s", 5, " d"))},
		"in parts":  {{linesAt("s", 1, "A1")}, both(linesAt("s", 2, " a"), linesAt("s", 3, " b"), linesAt("s", 5, " d")), {linesAt("s", 4, " c")}},
	} {
		t.Run(name, func(t *testing.T) {
			inProcessBubble(t, func(b *processBench) {
				b.write(both(linesAt("s", 1, "A1", " a"), linesAt("s", 3, " b", " c"))...)
				b.kill()
				b.start()
				for _, streams := range again {
					b.write(streams...)
				}
				b.kill()
				b.start()
				b.write(again[len(again)-1]...)
				b.pass(restoredGrace + 4*time.Second)
				b.want("A1\n a\n b\n c\n d")
			})
		})
	}
}

// What cannot be recorded in the journal is not forwarded at shutdown either: it would be
// sent again, and longer.
func TestShutdownKeepsWhatTheJournalDoesNotAccept(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a"))
		b.p.lock <- struct{}{}
		b.p.journal.file.Close()
		b.p.release()
		b.end()
		b.want()
		b.start()
		b.write(linesAt("stderr", 3, " b"))
		b.pass(4 * time.Second)
		b.want("A1\n a\n b")
	})
}
