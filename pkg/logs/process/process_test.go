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

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/inspect"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

// processBench is a loki.process in a bubble, between a test and a sink.
type processBench struct {
	t    *testing.T
	dir  string
	sink *logstest.Sink
	cfg  Config
	p    *Process
	end  func()

	golden string // a journal that an earlier version wrote
}

func multilineConfig(firstLine string) Config {
	var m MultilineConfig
	m.SetToDefault()
	m.FirstLine = firstLine
	return Config{Stages: []StageConfig{{Multiline: &m}}}
}

func inProcessBubble(t *testing.T, f func(b *processBench)) {
	t.Helper()
	dir := t.TempDir()
	golden, err := filepath.Abs(filepath.Join("testdata", "journal-1"))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := &processBench{t: t, dir: dir, golden: golden, sink: &logstest.Sink{}, cfg: multilineConfig("^A"), end: func() {}}
		b.start()
		f(b)
		b.end()
	})
}

// start runs a new component, as after a restart.
func (b *processBench) start() {
	b.t.Helper()
	b.end()
	b.cfg.ForwardTo = []pipeline.LogsSink{b.sink}
	b.p = newTestProcess(b.t, b.cfg, b.dir)
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.p.Run(ctx); err != nil {
			b.t.Errorf("Run: %v", err)
		}
	}()
	b.end = func() {
		cancel()
		<-done
		b.end = func() {}
	}
	synctest.Wait()
}

// kill makes b what a new process finds after a SIGKILL: the journal as it is,
// in another directory.
func (b *processBench) kill() {
	b.t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, journalFile))
	if err != nil {
		b.t.Fatal(err)
	}
	old := b.p
	sink := b.sink
	b.sink = &logstest.Sink{} // the log of the dead one is discarded
	old.cfg.ForwardTo[0] = b.sink
	b.end()
	b.sink = sink
	b.dir = b.t.TempDir()
	if err := os.WriteFile(filepath.Join(b.dir, journalFile), data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func newTestProcess(t testing.TB, cfg Config, dir string) *Process {
	t.Helper()
	p, err := New(cfg, component.Options{ID: "loki.process.test", Dir: dir, Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// linesAt makes a stream of lines, each a second after the one before.
func linesAt(stream string, from int, lines ...string) pipeline.Stream {
	s := pipeline.Stream{Labels: labels.FromStrings("stream", stream)}
	for i, line := range lines {
		s.Entries = append(s.Entries, pipeline.Entry{Time: time.Unix(int64(from+i), 0), Line: line})
	}
	return s
}

func (b *processBench) write(streams ...pipeline.Stream) {
	b.t.Helper()
	if err := b.p.WriteLogs(b.t.Context(), pipeline.Logs{Streams: streams}); err != nil {
		b.t.Fatal(err)
	}
}

// pass lets time pass.
func (b *processBench) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (b *processBench) want(want ...string) {
	b.t.Helper()
	if d := cmp.Diff(append([]string{}, want...), b.sink.Lines()); d != "" {
		b.t.Fatalf("entries (-want +got):\n%s", d)
	}
}

func (b *processBench) journalSize() int64 {
	b.t.Helper()
	info, err := os.Stat(filepath.Join(b.dir, journalFile))
	if err != nil {
		b.t.Fatal(err)
	}
	return info.Size()
}

func TestLinesBecomeOneEntryWithTheTimeOfTheFirst(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 10, "A1", " a", " b"))
		b.want()
		b.write(linesAt("stderr", 13, " c", "A2", " d", "A3"))
		b.want("A1\n a\n b\n c", "A2\n d")
		got := b.sink.All()
		if !got[0].Time.Equal(time.Unix(10, 0)) || !got[1].Time.Equal(time.Unix(14, 0)) || got[0].Labels != `{stream="stderr"}` {
			t.Errorf("entries: %+v", got)
		}
	})
}

func TestAnotherStreamDoesNotCutABlock(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a"), linesAt("stdout", 1, "noise", "AB"))
		b.write(linesAt("stdout", 3, "x", "AC"), linesAt("stderr", 3, " b", "A2"))
		b.want("noise", "AB\nx", "A1\n a\n b")
	})
}

func TestLinesBeforeTheFirstFirstLinePass(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stdout", 1, "x", "y"))
		b.want("x", "y")
		if n := b.journalSize(); n != 0 {
			t.Errorf("the journal has %d bytes", n)
		}
		b.write(linesAt("stdout", 3, "z", "A", "B"))
		b.want("x", "y", "z")
	})
}

func TestABlockIsFlushedAfterMaxWaitTime(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a"))
		b.pass(2 * time.Second)
		b.write(linesAt("stderr", 3, " b"))
		b.pass(2900 * time.Millisecond)
		b.want()
		b.pass(200 * time.Millisecond)
		b.want("A1\n a\n b")
		// A block was ended, and what follows is another.
		b.write(linesAt("stderr", 4, " c", " d"))
		b.pass(3 * time.Second)
		b.want("A1\n a\n b", " c\n d")
		if got := b.sink.All()[1].Time; !got.Equal(time.Unix(4, 0)) {
			t.Errorf("the second block has the time %s", got)
		}
	})
}

func TestAShortMaxWaitTimeIsKept(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.cfg.Stages[0].Multiline.MaxWaitTime = 50 * time.Millisecond
		b.start()
		for i := range 3 { // even while Run is already waiting for the clock
			b.write(linesAt("stderr", 1+i, "A", "b"))
			b.pass(60 * time.Millisecond)
			if n := len(b.sink.Lines()); n != i+1 {
				t.Fatalf("after block %d, %d have come", i+1, n)
			}
		}
	})
}

func TestMaxLinesEndABlock(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.cfg.Stages[0].Multiline.MaxLines = 2
		b.start()
		b.write(linesAt("stderr", 1, "A1", "b", "c", "d", "e"))
		b.want("A1\nb", "c\nd")
	})
}

func TestABlockIsBoundedInBytes(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		line := strings.Repeat("x", 100<<10)
		b.write(linesAt("stderr", 1, "A", line, line, line))
		b.want("A\n" + line + "\n" + line)
	})
}

func TestTooManyStreamsFlushTheOldest(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.p.chain.holders[0].Holder.(*multiline).maxStreams = 2
		b.write(linesAt("a", 1, "Aa"), linesAt("b", 1, "Ab"))
		b.write(linesAt("a", 2, " touched"))
		b.write(linesAt("c", 1, "Ac"))
		b.want("Ab")
		if n := len(b.p.chain.holders[0].Holder.(*multiline).streams); n != 2 {
			t.Errorf("%d streams are known", n)
		}
	})
}

func TestTooManyBytesFlushTheOldest(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.p.chain.holders[0].Holder.(*multiline).maxHeld = 10
		b.write(linesAt("a", 1, "A2345"), linesAt("b", 1, "A234"))
		b.want()
		b.write(linesAt("b", 2, "5"))
		b.want("A2345")
	})
}

func TestLineEndsAreTrimmed(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("a", 1, "A\r\n", "b\n\n", "A"))
		b.want("A\nb")
		b.cfg.Stages[0].Multiline.TrimNewlines = false
		b.start()
		b.write(linesAt("b", 1, "A\n", "b\n", "A"))
		if got := b.sink.Lines(); got[len(got)-1] != "A\n\nb\n" {
			t.Errorf("entries %q", got)
		}
	})
}

func TestMetadataComesFromTheFirstLine(t *testing.T) {
	s := linesAt("a", 1, "A", "b")
	s.Entries[0].Metadata = labels.FromStrings("k", "v")
	m, err := newMultiline(*multilineConfig("^A").Stages[0].Multiline, testEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	var got pipeline.Entry
	for i := range s.Entries {
		var e Entry
		e.begin(s.Labels, &s.Entries[i], time.Now())
		m.Process(&e, nil)
	}
	m.Flush(s.Labels, time.Now(), func(e *Entry) { got = pipeline.Entry{Line: e.Line, Metadata: e.Metadata} })
	if got.Line != "A\nb" || got.Metadata.Get("k") != "v" {
		t.Errorf("entry %+v", got)
	}
}

func testEnv(t testing.TB) *env {
	t.Helper()
	o := component.Options{Metrics: prometheus.NewRegistry()}.WithDefaults()
	m := newMetrics(o.Metrics)
	return newEnv(o, m)
}

func TestStagesWorkOneAfterTheOther(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.cfg.Stages = append(b.cfg.Stages, multilineConfig("^A1").Stages...)
		b.start()
		b.write(linesAt("a", 1, "A1", "x", "A2", "y", "A1", "z", "A3"))
		b.want("A1\nx\nA2\ny")
		b.end() // the shutdown flushes both
		b.want("A1\nx\nA2\ny", "A1\nz\nA3")
	})
}

func TestWithoutStagesEntriesPass(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.cfg.Stages = nil
		b.start()
		b.write(linesAt("a", 1, "A", "b"))
		b.want("A", "b")
	})
}

func TestHeldLinesSurviveAKill(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a"))
		b.kill()
		b.start()
		b.write(linesAt("stderr", 3, " b", "A2"))
		b.want("A1\n a\n b")
		if got := b.sink.All()[0].Time; !got.Equal(time.Unix(1, 0)) {
			t.Errorf("time %s", got)
		}
	})
}

// The cursor of the source may not have moved when the process was killed.
func TestRepeatedEntriesAfterAKillAreNotTakenTwice(t *testing.T) {
	for name, again := range map[string][]pipeline.Stream{
		"whole":     {linesAt("stderr", 2, " a", "A2", " b")},
		"with more": {linesAt("stderr", 2, " a", "A2", " b", " c")},
		"in parts":  {linesAt("stderr", 2, " a"), linesAt("stderr", 3, "A2", " b", " c")},
	} {
		t.Run(name, func(t *testing.T) {
			inProcessBubble(t, func(b *processBench) {
				b.write(linesAt("stderr", 1, "A1"))
				b.write(linesAt("stderr", 2, " a", "A2", " b"))
				b.want("A1\n a")
				b.kill()
				b.start()
				for _, s := range again {
					b.write(s)
				}
				if name == "whole" {
					b.write(linesAt("stderr", 5, " c"))
				}
				b.pass(time.Minute)
				b.want("A1\n a", "A2\n b\n c")
			})
		})
	}
}

// The cursor may pass the first of the repeated parts before another kill.
func TestKilledTwiceWhileEntriesAreRepeated(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a", " b"))
		b.kill()
		b.start()
		b.write(linesAt("stderr", 1, "A1"))
		b.kill()
		b.start()
		b.write(linesAt("stderr", 2, " a", " b", " c"))
		b.kill()
		b.start()
		b.write(linesAt("stderr", 2, " a", " b", " c", " d"))
		b.pass(time.Minute)
		b.want("A1\n a\n b\n c\n d")
	})
}

func TestWhatWasNotForwardedAtTheKillIsForwardedAfterwards(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		down := true
		b.sink.Set(func() {
			b.sink.Fail = func(int) error {
				if down {
					return pipeline.ErrFull
				}
				return nil
			}
		})
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
		defer cancel()
		err := b.p.WriteLogs(ctx, pipeline.Logs{Streams: []pipeline.Stream{linesAt("stderr", 1, "A1", " a", "A2")}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("WriteLogs: %v", err)
		}
		b.kill()
		down = false
		b.start()
		b.pass(restoredGrace + 5*time.Second)
		b.write(linesAt("stderr", 1, "A1", " a", "A2"))
		b.write(linesAt("stderr", 4, " b"))
		b.pass(5 * time.Second)
		b.want("A1\n a", "A2", " b")
	})
}

// A call that fails is made again by the source, which may be a new one.
func TestARepeatedFailedCallIsNotTakenTwice(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.sink.Set(func() { b.sink.Fail = func(int) error { return pipeline.ErrFull } })
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
		defer cancel()
		logs := pipeline.Logs{Streams: []pipeline.Stream{linesAt("stdout", 1, "noise"), linesAt("stderr", 1, "A1", " a", "A2")}}
		if err := b.p.WriteLogs(ctx, logs); err == nil {
			t.Fatal("WriteLogs says that what no receiver has, and no journal, is durable")
		}
		b.sink.Set(func() { b.sink.Fail = nil })
		b.write(logs.Streams...)
		b.write(linesAt("stderr", 4, " b", "A3"))
		b.want("A1\n a", "noise", "A2\n b")
	})
}

func TestShutdownFlushesAndTheNextRunContinues(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a"))
		b.end()
		b.want("A1\n a")
		b.start()
		b.write(linesAt("stderr", 3, " b", " c"))
		b.pass(4 * time.Second)
		b.want("A1\n a", " b\n c")
		b.pass(10 * time.Second)
		if n := b.journalSize(); n != 0 {
			t.Errorf("nothing is held, and the journal has %d bytes", n)
		}
	})
}

func TestShutdownKeepsWhatNoReceiverAccepts(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a"))
		b.sink.Set(func() { b.sink.Fail = func(int) error { return pipeline.ErrFull } })
		began := time.Now()
		b.end()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the end took %s", took)
		}
		b.want()
		b.sink.Set(func() { b.sink.Fail = nil })
		b.start()
		b.pass(2 * time.Second)
		b.want("A1\n a")
	})
}

func TestWhatAReceiverNeverAcceptsIsCounted(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.sink.Set(func() { b.sink.Fail = func(int) error { return pipeline.Permanent(errors.New("bad")) } })
		b.write(linesAt("stderr", 1, "A1", "A2", "A3"))
		if n := logstest.ValueOf(b.p.metrics.dropped.WithLabelValues(reasonRejected)); n != 2 {
			t.Errorf("%v entries were counted as dropped", n)
		}
	})
}

func TestAJournalThatCannotBeWrittenIsAnError(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.p.journal.file.Close()
		logs := pipeline.Logs{Streams: []pipeline.Stream{linesAt("stderr", 1, "A1", " a")}}
		if err := b.p.WriteLogs(b.t.Context(), logs); err == nil || pipeline.IsPermanent(err) {
			t.Fatalf("WriteLogs: %v", err)
		}
		if n := logstest.ValueOf(b.p.metrics.journalErrors); n != 1 {
			t.Errorf("%v errors are counted", n)
		}
		if s := b.p.Status().(Status); s.Lines != 0 {
			t.Errorf("held all the same: %+v", s)
		}
		var err error
		if b.p.journal, err = openJournal(filepath.Join(b.dir, journalFile)); err != nil {
			t.Fatal(err)
		}
		b.write(logs.Streams...)
		b.pass(4 * time.Second)
		b.want("A1\n a")
	})
}

func TestTheJournalIsRewrittenWhenItHasGrown(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		line := strings.Repeat("x", 64<<10)
		b.write(linesAt("stderr", 1, "A first"))
		want := []string{}
		for i := range 400 {
			b.write(linesAt("stdout", 1+i, "A"+line))
			if i > 0 {
				want = append(want, "A"+line)
			}
			if n := b.journalSize(); n > journalGrowth+1<<20 {
				t.Fatalf("the journal has %d bytes", n)
			}
		}
		b.kill()
		b.start()
		b.pass(restoredGrace + 4*time.Second)
		b.want(append(want, "A first", "A"+line)...)
	})
}

func TestABlockOutlivesAKillUntilItsSourceReadsOn(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A first"))
		b.kill()
		b.start()
		b.pass(20 * time.Second) // the Engine is away
		b.write(linesAt("stderr", 2, " second"))
		b.pass(4 * time.Second)
		b.want("A first\n second")
	})
}

func TestStatusShowsWhatIsHeld(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a"), linesAt("stdout", 1, "A"))
		s := b.p.Status().(Status)
		s.JournalBytes = min(s.JournalBytes, 1)
		if d := cmp.Diff(Status{Streams: 2, Lines: 3, Bytes: 6, JournalBytes: 1}, s); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if n := inspect.Holder(b.p).HeldLines(); n != 3 {
			t.Errorf("%d held lines", n)
		}
	})
}

func TestAfterTheEndACallIsRetryable(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.end()
		err := b.p.WriteLogs(b.t.Context(), pipeline.Logs{Streams: []pipeline.Stream{linesAt("a", 1, "x")}})
		if !errors.Is(err, pipeline.ErrClosed) {
			t.Errorf("WriteLogs: %v", err)
		}
	})
}

func TestMultilineSettingsThatCannotWork(t *testing.T) {
	for want, change := range map[string]func(*MultilineConfig){
		"firstline":      func(c *MultilineConfig) { c.FirstLine = "" },
		"firstline: \"(": func(c *MultilineConfig) { c.FirstLine = "(" },
		"max_wait_time":  func(c *MultilineConfig) { c.MaxWaitTime = 0 },
	} {
		c := *multilineConfig("^A").Stages[0].Multiline
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func BenchmarkProcessPassThrough(b *testing.B) { benchmarkProcess(b, "^never matches$") }
func BenchmarkProcessMultiline(b *testing.B)   { benchmarkProcess(b, `^\d{4}-`) }

func benchmarkProcess(b *testing.B, firstLine string) {
	cfg := multilineConfig(firstLine)
	cfg.ForwardTo = []pipeline.LogsSink{discardSink{}}
	p := newTestProcess(b, cfg, b.TempDir())
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	var lines []string
	for range 250 {
		lines = append(lines, "2026-01-02 03:04:05 ERROR something went wrong in the works", "java.lang.IllegalStateException: no",
			"\tat com.example.Service.call(Service.java:42)", "\tat com.example.Main.main(Main.java:7)")
	}
	logs := pipeline.Logs{Streams: []pipeline.Stream{linesAt("stderr", 1, lines...)}}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.WriteLogs(ctx, logs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(lines)), "ns/line")
	cancel()
	<-done
}

type discardSink struct{}

func (discardSink) WriteLogs(context.Context, pipeline.Logs) error { return nil }
