package docker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/discovery"
	"collector/pkg/docker/dockertest"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/lines"
	"collector/pkg/pipeline"
)

func TestLinesArriveWithLabelsAndDockersTime(t *testing.T) {
	inBubble(t, func(b *bench) {
		rules, err := discovery.Compile([]discovery.Rule{{
			SourceLabels: []string{logStreamLabel}, Separator: ";", Regex: "(.*)", Replacement: "$1", TargetLabel: "stream", Action: "replace",
		}})
		if err != nil {
			t.Fatal(err)
		}
		b.cfg.RelabelRules, b.cfg.Labels = rules, map[string]string{"platform": "docker", "container": "forced"}
		b.start()
		id := b.container(dockertest.Container{Name: "app"})
		at := time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC)
		b.daemon.Log(id, dockertest.Entry{Time: at, Text: "out\n"}, dockertest.Entry{Stream: "stderr", Time: at.Add(1), Text: "err\n"})
		b.settle(time.Second)
		want := []logstest.Received{
			{Labels: `{container="forced", platform="docker", stream="stdout"}`, Time: at, Line: "out"},
			{Labels: `{container="forced", platform="docker", stream="stderr"}`, Time: at.Add(1), Line: "err"},
		}
		if d := cmp.Diff(want, b.sink.All(), cmp.Transformer("utc", time.Time.UTC)); d != "" {
			t.Error(d)
		}
		if n := logstest.ValueOf(b.source.metrics.entries); n != 2 {
			t.Errorf("entries_total is %v, want 2", n)
		}
	})
}

func TestLinesOfAnyLengthArriveWholeOrCut(t *testing.T) {
	for _, tty := range []bool{false, true} {
		t.Run(fmt.Sprintf("tty=%v", tty), func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.start()
				id := b.container(dockertest.Container{TTY: tty})
				var want []string
				for i, size := range []int{1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 100 << 10, 256 << 10, 256<<10 + 1, 300_000, 2 << 20} {
					line := strings.Repeat(string(rune('a'+i)), size)
					stream := []string{"stdout", "stderr"}[i%2]
					b.daemon.Print(id, stream, line+"\n")
					if marker := fmt.Sprintf("… [cut by collector: %d bytes]", size); size > 256<<10 {
						line = line[:256<<10-len(marker)] + marker
					}
					want = append(want, line)
					b.settle(time.Second)
				}
				got := b.sink.Lines()
				if len(got) != len(want) {
					t.Fatalf("got %d lines, want %d", len(got), len(want))
				}
				for i := range want {
					if got[i] != want[i] {
						t.Errorf("line %d differs: %d bytes, want %d", i, len(got[i]), len(want[i]))
					}
				}
				cut := 3.0
				if n := logstest.ValueOf(b.source.metrics.cutLines); n != cut {
					t.Errorf("%v lines are counted as cut, want %v", n, cut)
				}
			})
		})
	}
}

func TestPiecesOfBothStreamsMayAlternate(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		at := time.Now()
		b.daemon.Log(id,
			dockertest.Entry{Time: at, Text: strings.Repeat("o", 16<<10)},
			dockertest.Entry{Stream: "stderr", Time: at.Add(1), Text: strings.Repeat("e", 16<<10)},
			dockertest.Entry{Time: at, Text: "out\n"},
			dockertest.Entry{Stream: "stderr", Time: at.Add(1), Text: "err\n"})
		b.settle(time.Second)
		b.wantLines(strings.Repeat("o", 16<<10)+"out", strings.Repeat("e", 16<<10)+"err")
	})
}

func TestEmptyLinesMakeNoEntry(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		b.daemon.Print(b.container(dockertest.Container{}), "stdout", "\na\n\n\nb\n\n")
		b.daemon.Print(b.container(dockertest.Container{TTY: true}), "stdout", "\nc\n\n")
		b.settle(time.Second)
		if n := len(b.sink.All()); n != 3 {
			t.Errorf("%d entries, want 3: %q", n, b.sink.Lines())
		}
		if s := b.log.String(); strings.Contains(s, "level=ERROR") || strings.Contains(s, "level=WARN") {
			t.Errorf("logged: %s", s)
		}
	})
}

func TestLineEndsOfTwoBytesAreRemoved(t *testing.T) {
	for _, tty := range []bool{false, true} {
		t.Run(fmt.Sprintf("tty=%v", tty), func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.start()
				id := b.container(dockertest.Container{TTY: tty})
				atJoint, long := strings.Repeat("a", 16<<10-1), strings.Repeat("b", 300_000)
				const limit = 256 << 10
				line := func(text string) {
					if !tty { // a terminal adds its own
						text += "\r"
					}
					b.daemon.Print(id, "stdout", text+"\n")
					b.settle(time.Second)
				}
				for _, text := range []string{"status=200", "", "10%\r20%", atJoint, long, long[:limit], "end"} {
					line(text)
				}
				marker := "… [cut by collector: 300000 bytes]"
				b.wantLines("status=200", "10%\r20%", atJoint, long[:limit-len(marker)]+marker, long[:limit], "end")
				if n := logstest.ValueOf(b.source.metrics.emptyLines); n != 1 {
					t.Errorf("%v empty lines are counted, want 1", n)
				}
				if n := logstest.ValueOf(b.source.metrics.cutLines); n != 1 {
					t.Errorf("%v lines are counted as cut, want 1", n)
				}
			})
		})
	}
}

func TestBytesThatAreNotTextAreKept(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		b.daemon.Print(b.container(dockertest.Container{}), "stdout", "nul\x00nul\nre\rturn\nbad\xff\xfe utf8 \xe2\x82\n")
		b.settle(time.Second)
		b.wantLines("nul\x00nul", "re\rturn", "bad\uFFFD utf8 \uFFFD")
		if n := logstest.ValueOf(b.source.metrics.invalidLines); n != 1 {
			t.Errorf("%v lines are counted as invalid, want 1", n)
		}
	})
}

func TestASinkThatFailsGetsEverythingInTheEnd(t *testing.T) {
	inBubble(t, func(b *bench) {
		other := &logstest.Sink{}
		b.cfg.ForwardTo = append(b.cfg.ForwardTo, other)
		b.sink.Fail = func(call int) error {
			if call < 5 {
				return pipeline.ErrFull
			}
			return nil
		}
		other.Fail = func(call int) error {
			if call%2 == 1 {
				return pipeline.ErrClosed
			}
			return nil
		}
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(0, 2500)))
		b.settle(time.Minute)
		b.wantLines(logstest.Numbered(0, 2500)...)
		logstest.WantEach(t, logstest.Numbered(0, 2500), other.Lines())
	})
}

func TestPermanentErrorDropsAndCounts(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.sink.Fail = func(call int) error {
			if call == 1 {
				return pipeline.Permanent(fmt.Errorf("no"))
			}
			return nil
		}
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", "a\nb\n")
		b.settle(time.Second)
		b.daemon.Print(id, "stdout", "c\n")
		b.settle(time.Second)
		b.wantLines("c")
		if n := logstest.ValueOf(b.source.metrics.dropped.WithLabelValues(reasonRejected)); n != 2 {
			t.Errorf("%v entries are counted, want 2", n)
		}
	})
}

func TestSinkThatWaitsStopsReading(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.sink.Block = make(chan struct{})
		b.start()
		id := b.container(dockertest.Container{})
		line := strings.Repeat("x", 1000)
		for range 20 {
			b.daemon.Print(id, "stdout", strings.Repeat(line+"\n", 1000))
		}
		b.settle(time.Minute)
		tail := b.source.snapshot()[0]
		if n := tail.snapshot(time.Now()).Lines; n > 3*lines.BatchLines {
			t.Errorf("%d lines were read while the sink took none", n)
		}
		if lag := b.source.lag(); lag < 50 {
			t.Errorf("the lag is %v s, want about a minute", lag)
		}
		close(b.sink.Block)
		b.settle(time.Minute)
		if n := len(b.sink.All()); n != 20_000 {
			t.Errorf("%d lines arrived, want 20,000", n)
		}
		if lag := b.source.lag(); lag != 0 {
			t.Errorf("the lag is %v s, want 0", lag)
		}
	})
}

func TestWhatNoSinkAcceptedIsReadAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.sink.Block = make(chan struct{})
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(0, 3000)))
		b.settle(time.Minute)
		b.stop()
		b.wantLines()
		b.sink.Set(func() { b.sink.Block = nil })
		b.start()
		b.settle(time.Second)
		b.wantLines(logstest.Numbered(0, 3000)...)
	})
}

func TestContainerThatComesBackWhileItsLinesWaitIsReadOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.sink.Block = make(chan struct{})
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(0, 10)))
		b.settle(time.Second)
		b.daemon.Stop(id)
		b.removeTarget(id)
		b.settle(time.Minute)
		b.daemon.Start(id)
		b.target(id)
		b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(10, 20)))
		b.settle(time.Minute)
		close(b.sink.Block)
		b.settle(time.Minute)
		b.wantLines(logstest.Numbered(0, 20)...)
	})
}
