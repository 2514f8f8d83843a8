package logs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/discovery"
	"collector/pkg/docker/dockertest"
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
		want := []received{
			{`{container="forced", platform="docker", stream="stdout"}`, at, "out"},
			{`{container="forced", platform="docker", stream="stderr"}`, at.Add(1), "err"},
		}
		if d := cmp.Diff(want, b.sink.all(), cmp.Transformer("utc", time.Time.UTC)); d != "" {
			t.Error(d)
		}
		if n := valueOf(b.source.metrics.entries); n != 2 {
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
				got := b.sink.lines()
				if len(got) != len(want) {
					t.Fatalf("got %d lines, want %d", len(got), len(want))
				}
				for i := range want {
					if got[i] != want[i] {
						t.Errorf("line %d differs: %d bytes, want %d", i, len(got[i]), len(want[i]))
					}
				}
				cut := 3.0
				if n := valueOf(b.source.metrics.cutLines); n != cut {
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
		if n := len(b.sink.all()); n != 3 {
			t.Errorf("%d entries, want 3: %q", n, b.sink.lines())
		}
		if s := b.log.String(); strings.Contains(s, "level=ERROR") || strings.Contains(s, "level=WARN") {
			t.Errorf("logged: %s", s)
		}
	})
}

func TestLineEndsOfTwoBytesAreNoPartOfALine(t *testing.T) {
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
				if n := valueOf(b.source.metrics.emptyLines); n != 1 {
					t.Errorf("%v empty lines are counted, want 1", n)
				}
				if n := valueOf(b.source.metrics.cutLines); n != 1 {
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
		if n := valueOf(b.source.metrics.invalidLines); n != 1 {
			t.Errorf("%v lines are counted as invalid, want 1", n)
		}
	})
}

func TestSinkThatFailsGetsEverythingInTheEnd(t *testing.T) {
	inBubble(t, func(b *bench) {
		other := &memorySink{}
		b.cfg.ForwardTo = append(b.cfg.ForwardTo, other)
		b.sink.fail = func(call int) error {
			if call < 5 {
				return pipeline.ErrFull
			}
			return nil
		}
		other.fail = func(call int) error {
			if call%2 == 1 {
				return pipeline.ErrClosed
			}
			return nil
		}
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", text(numbered(0, 2500)))
		b.settle(time.Minute)
		b.wantLines(numbered(0, 2500)...)
		wantEach(t, numbered(0, 2500), other.lines())
	})
}

func TestPermanentErrorDropsAndCounts(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.sink.fail = func(call int) error {
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
		if n := valueOf(b.source.metrics.dropped.WithLabelValues(reasonRejected)); n != 2 {
			t.Errorf("%v entries are counted, want 2", n)
		}
	})
}

func TestSinkThatWaitsStopsReading(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.sink.block = make(chan struct{})
		b.start()
		id := b.container(dockertest.Container{})
		line := strings.Repeat("x", 1000)
		for range 20 {
			b.daemon.Print(id, "stdout", strings.Repeat(line+"\n", 1000))
		}
		b.settle(time.Minute)
		tail := b.source.snapshot()[0]
		if n := tail.snapshot(time.Now()).Lines; n > 3*batchLines {
			t.Errorf("%d lines were read while the sink took none", n)
		}
		if lag := b.source.lag(); lag < 50 {
			t.Errorf("the lag is %v s, want about a minute", lag)
		}
		close(b.sink.block)
		b.settle(time.Minute)
		if n := len(b.sink.all()); n != 20_000 {
			t.Errorf("%d lines arrived, want 20,000", n)
		}
		if lag := b.source.lag(); lag != 0 {
			t.Errorf("the lag is %v s, want 0", lag)
		}
	})
}

func TestWhatNoSinkTookIsReadAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.sink.block = make(chan struct{})
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", text(numbered(0, 3000)))
		b.settle(time.Minute)
		b.stop()
		b.wantLines()
		b.sink.set(func() { b.sink.block = nil })
		b.start()
		b.settle(time.Second)
		b.wantLines(numbered(0, 3000)...)
	})
}

func TestContainerThatComesBackWhileItsLinesWaitIsReadOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.sink.block = make(chan struct{})
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", text(numbered(0, 10)))
		b.settle(time.Second)
		b.daemon.Stop(id)
		b.removeTarget(id)
		b.settle(time.Minute)
		b.daemon.Start(id)
		b.target(id)
		b.daemon.Print(id, "stdout", text(numbered(10, 20)))
		b.settle(time.Minute)
		close(b.sink.block)
		b.settle(time.Minute)
		b.wantLines(numbered(0, 20)...)
	})
}
