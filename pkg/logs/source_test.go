package logs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/docker"
	"collector/pkg/docker/dockertest"
	"collector/pkg/pipeline"
)

// received is an entry as a sink got it.
type received struct {
	Labels string
	Time   time.Time
	Line   string
}

// memorySink keeps what it is given, unless fail says otherwise.
type memorySink struct {
	mu      sync.Mutex
	entries []received
	calls   int
	fail    func(call int) error // nil takes everything
	block   chan struct{}        // when not nil, calls wait until it is closed
}

func (s *memorySink) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	s.mu.Lock()
	s.calls++
	call, fail, block := s.calls, s.fail, s.block
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail != nil {
		if err := fail(call); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range logs.Streams {
		for _, e := range stream.Entries {
			s.entries = append(s.entries, received{stream.Labels.String(), e.Time, e.Line})
		}
	}
	return nil
}

func (s *memorySink) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *memorySink) all() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.entries...)
}

func (s *memorySink) lines() []string {
	out := []string{}
	for _, e := range s.all() {
		out = append(out, e.Line)
	}
	return out
}

// bench is a Docker Engine, a set of targets and a sink for a source.
type bench struct {
	t       *testing.T
	daemon  *dockertest.Daemon
	targets *discovery.Set
	sink    *memorySink
	cfg     SourceDockerConfig
	dir     string
	log     *bytes.Buffer
	source  *SourceDocker
	stop    func()
}

// inBubble runs f with a bench in a synctest bubble: time is fake, and passes
// when everything waits.
func inBubble(t *testing.T, f func(b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, daemon: dockertest.NewPipe(t), targets: discovery.NewSet(), sink: &memorySink{}, dir: dir, log: &bytes.Buffer{}}
		b.cfg.SetToDefault()
		b.cfg.Host, b.cfg.Targets, b.cfg.ForwardTo = b.daemon.Host(), b.targets, []pipeline.LogsSink{b.sink}
		b.stop = func() {}
		f(b)
		b.stop()
	})
}

// start runs a new source, as after a restart or a reload.
func (b *bench) start() {
	b.t.Helper()
	b.stop()
	s, err := NewSourceDocker(b.cfg, component.Options{
		ID: "loki.source.docker.test", Dir: b.dir, Metrics: prometheus.NewRegistry(),
		Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	client := b.daemon.Client()
	s.engine, err = docker.NewPool(nil).Engine(docker.Config{Host: b.daemon.Host(), Client: client, Key: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			b.t.Errorf("Run: %v", err)
		}
	}()
	b.source = s
	b.stop = func() {
		cancel()
		<-done
		client.CloseIdleConnections()
		b.stop = func() {}
	}
}

// settle lets d pass and waits until nothing moves.
func (b *bench) settle(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// container starts a container and makes it a target.
func (b *bench) container(c dockertest.Container, extra ...string) string {
	id := b.daemon.Run(c)
	b.target(id, extra...)
	return id
}

// target makes or replaces the target of a container; extra are more labels.
func (b *bench) target(id string, extra ...string) {
	b.removeTarget(id)
	targets, _ := b.targets.Targets()
	pairs := append([]string{containerIDLabel, id, "container", "app"}, extra...)
	b.targets.Replace(append(append([]discovery.Target{}, targets...), labels.FromStrings(pairs...)))
}

func (b *bench) removeTarget(id string) {
	targets, _ := b.targets.Targets()
	var kept []discovery.Target
	for _, t := range targets {
		if t.Get(containerIDLabel) != id {
			kept = append(kept, t)
		}
	}
	b.targets.Replace(kept)
}

func (b *bench) hasCursor(id string) bool {
	s := b.source.store
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.entries[id]
	return ok
}

func (b *bench) wantLines(want ...string) {
	b.t.Helper()
	if d := cmp.Diff(append([]string{}, want...), b.sink.lines()); d != "" {
		b.t.Fatalf("lines (-want +got):\n%s\nlog:\n%s", d, b.log)
	}
}

// valueOf is the value of a counter.
func valueOf(m prometheus.Metric) float64 {
	var out dto.Metric
	if m.Write(&out) != nil {
		return -1
	}
	return out.GetCounter().GetValue()
}

func numbered(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, "line "+strconv.Itoa(i))
	}
	return out
}

func text(lines []string) string { return strings.Join(lines, "\n") + "\n" }

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

func TestBytesThatAreNotTextAreKept(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		b.daemon.Print(b.container(dockertest.Container{}), "stdout", "nul\x00nul\nreturn\r\nbad\xff\xfe utf8 \xe2\x82\n")
		b.settle(time.Second)
		b.wantLines("nul\x00nul", "return\r", "bad\uFFFD utf8 \uFFFD")
		if n := valueOf(b.source.metrics.invalidLines); n != 1 {
			t.Errorf("%v lines are counted as invalid, want 1", n)
		}
	})
}

func TestRestartOfTheCollectorRepeatsAndLosesNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		for i := range 20 {
			b.daemon.Print(id, "stdout", text(numbered(10*i, 10*i+7)))
			b.settle(time.Duration(i*17) * time.Millisecond)
			b.stop()
			b.daemon.Print(id, "stdout", text(numbered(10*i+7, 10*i+10)))
			b.start()
		}
		b.settle(time.Second)
		b.wantLines(numbered(0, 200)...)
	})
}

func TestStoppedAndStartedContainerRepeatsNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", text(numbered(0, 5000)))
		b.settle(10 * time.Second)
		b.daemon.Print(id, "stderr", text(numbered(5000, 10000)))
		b.settle(time.Second)
		last := b.sink.all()[0].Time
		for _, e := range b.sink.all() {
			last = time.Unix(0, max(last.UnixNano(), e.Time.UnixNano()))
		}
		last = last.Truncate(time.Second) // equal times were moved by nanoseconds
		b.daemon.Stop(id)
		b.removeTarget(id)
		b.settle(3 * time.Minute)
		if n := b.source.count(); n != 0 {
			t.Errorf("%v tails are left of a stopped container", n)
		}
		before := len(b.daemon.Requests())
		b.daemon.Start(id)
		b.target(id)
		b.daemon.Print(id, "stdout", text(numbered(10000, 10010)))
		b.settle(time.Second)
		if d := cmp.Diff(10010, len(b.sink.lines())); d != "" {
			t.Errorf("lines (-want +got): %s", d)
		}
		for _, r := range b.daemon.Requests()[before:] {
			if !strings.HasSuffix(r.Path, "/logs") {
				continue
			}
			if since := parseSince(t, r.Query.Get("since")); since.Before(last) {
				t.Errorf("asked for lines since %v, want nothing before %v", since, last)
			}
		}
	})
}

func parseSince(t *testing.T, s string) time.Time {
	t.Helper()
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("since %q: %v", s, err)
	}
	return time.Unix(0, int64(seconds*1e9))
}

func TestCrashLoopArrivesWhole(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		for i := range 20 {
			b.daemon.Print(id, "stdout", text(numbered(5*i, 5*i+5)))
			b.settle(time.Duration(i*100) * time.Millisecond)
			b.daemon.Stop(id)
			if i%3 == 0 {
				b.removeTarget(id)
			} else if i%3 == 1 {
				b.target(id, discovery.EndedLabel, "true")
			} // else discovery didn't notice
			b.settle(time.Duration(i*30) * time.Millisecond)
			b.daemon.Start(id)
			b.target(id)
		}
		b.settle(5 * time.Second)
		b.wantLines(numbered(0, 100)...)
	})
}

func TestSilentContainerThatIsReconnectedRepeatsNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", text(numbered(0, 3)))
		b.settle(time.Second)
		for range 100 {
			b.daemon.AwaitFollowers(id, 1)
			b.daemon.CutConnections()
			b.settle(10 * time.Second)
		}
		b.daemon.Print(id, "stdout", "last\n")
		b.settle(10 * time.Second)
		b.wantLines(append(numbered(0, 3), "last")...)
		if n := strings.Count(b.log.String(), "\n"); n > 18 {
			t.Errorf("%d lines were logged in 17 minutes", n)
		}
	})
}

func TestInterleavedStreamsAcrossReconnectsArriveOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		random := rand.New(rand.NewPCG(1, 2))
		var want []string
		for i := range 5000 {
			// Two goroutines of the Engine stamp first and write later.
			at := time.Now().Add(-time.Duration(random.IntN(2000)) * time.Microsecond * time.Duration(i%2))
			line := "line " + strconv.Itoa(i)
			want = append(want, line)
			b.daemon.Log(id, dockertest.Entry{Stream: []string{"stdout", "stderr"}[i%2], Time: at, Text: line + "\n"})
			if i%100 == 0 {
				b.settle(time.Duration(random.IntN(300)) * time.Millisecond)
			}
			if i%500 == 499 {
				b.daemon.CutConnections()
			}
			if i%1000 == 999 {
				b.stop()
				b.start()
			}
		}
		b.settle(10 * time.Second)
		wantEach(t, want, b.sink.lines())
	})
}

// wantEach fails unless got has each line of want once.
func wantEach(t *testing.T, want, got []string) {
	t.Helper()
	count := make(map[string]int)
	for _, l := range got {
		count[l]++
	}
	lost, repeated := 0, 0
	for _, l := range want {
		if count[l] == 0 {
			lost++
		}
		if count[l] > 1 {
			repeated++
		}
	}
	if lost+repeated > 0 || len(got) != len(want) {
		t.Errorf("of %d lines, %d are lost and %d are repeated; %d came", len(want), lost, repeated, len(got))
	}
}

func TestConnectionCutInALineRepeatsNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		at := time.Now()
		piece := strings.Repeat("x", 16<<10)
		b.daemon.Log(id, dockertest.Entry{Time: at, Text: "first\n"}, dockertest.Entry{Time: at.Add(1), Text: piece})
		b.settle(time.Second)
		b.daemon.CutConnections()
		b.settle(time.Second)
		b.daemon.Log(id, dockertest.Entry{Time: at.Add(1), Text: "end\n"})
		b.settle(time.Second)
		b.wantLines("first", piece+"end")
	})
}

func TestEqualTimesKeepTheirOrder(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range 1000 {
			b.daemon.Log(id, dockertest.Entry{Time: at, Text: fmt.Sprintf("line %d\n", i)})
			if i == 500 {
				b.settle(time.Second)
				b.start() // the count goes on after a restart
			}
		}
		b.daemon.Log(id, dockertest.Entry{Time: at.Add(time.Millisecond), Text: "later\n"})
		b.settle(time.Second)
		b.wantLines(append(numbered(0, 1000), "later")...)
		got := b.sink.all()
		for i, e := range got[:1000] {
			if want := at.Add(time.Duration(i)); !e.Time.Equal(want) {
				t.Fatalf("entry %d has time %v, want %v", i, e.Time, want)
			}
		}
		if !got[1000].Time.Equal(at.Add(time.Millisecond)) {
			t.Errorf("the later line has time %v", got[1000].Time)
		}
	})
}

func TestClockThatIsSetBackLosesNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		at := time.Now()
		b.daemon.Log(id, dockertest.Entry{Time: at, Text: "line 0\n"})
		b.settle(time.Second)
		b.daemon.Log(id, dockertest.Entry{Time: at.Add(-time.Hour), Text: "line 1\n"}, dockertest.Entry{Time: at.Add(-time.Hour + 1), Text: "line 2\n"})
		b.settle(time.Second)
		b.wantLines(numbered(0, 3)...)
		if got := b.sink.all()[1].Time; !got.Equal(at.Add(-time.Hour)) {
			t.Errorf("the line has time %v, want Docker's own", got)
		}
	})
}

func TestChangedLabelsApplyToTheNextLine(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{}, "version", "1")
		b.daemon.Print(id, "stdout", "a\n")
		b.settle(time.Second)
		b.target(id, "version", "2")
		b.settle(time.Second)
		b.daemon.Print(id, "stdout", "b\n")
		b.settle(time.Second)
		b.wantLines("a", "b")
		if got := b.sink.all()[1].Labels; !strings.Contains(got, `version="2"`) {
			t.Errorf("the line after the change has labels %s", got)
		}
		if n := b.daemon.Count("/containers/" + id + "/logs"); n != 1 {
			t.Errorf("the log was opened %d times, want once", n)
		}
	})
}

func TestContainerWithSeveralTargetsIsTailedOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.daemon.Run(dockertest.Container{})
		b.targets.Replace([]discovery.Target{
			labels.FromStrings(containerIDLabel, id, "port", "80"),
			labels.FromStrings(containerIDLabel, id, "port", "443"),
			labels.FromStrings(containerIDLabel, id, "port", "1", discovery.EndedLabel, "true"),
			labels.FromStrings("no", "container"),
		})
		b.daemon.Print(id, "stdout", "a\n")
		b.settle(time.Second)
		b.wantLines("a")
		if got := b.sink.all()[0].Labels; got != `{port="443"}` {
			t.Errorf("labels are %s", got)
		}
	})
}

func TestRelabellingDropsAndCounts(t *testing.T) {
	inBubble(t, func(b *bench) {
		rules, err := discovery.Compile([]discovery.Rule{{
			SourceLabels: []string{logStreamLabel}, Separator: ";", Regex: "stderr", Action: "drop",
		}})
		if err != nil {
			t.Fatal(err)
		}
		b.cfg.RelabelRules = rules
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", "a\n")
		b.daemon.Print(id, "stderr", "b\nc\n")
		b.settle(time.Second)
		b.start()
		b.settle(time.Second)
		b.wantLines("a")
		if n := valueOf(b.source.metrics.dropped.WithLabelValues(reasonRelabel)); n != 0 {
			t.Errorf("%v lines were read again", n)
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

func TestEngineThatGoesAwayLosesNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		var ids []string
		for range 20 {
			ids = append(ids, b.container(dockertest.Container{}))
		}
		b.settle(time.Second)
		var want []string
		for i, id := range ids {
			b.daemon.Print(id, "stdout", fmt.Sprintf("before %d\n", i))
			want = append(want, fmt.Sprintf("before %d", i))
		}
		b.daemon.Shutdown()
		for i, id := range ids {
			b.daemon.Print(id, "stdout", fmt.Sprintf("meanwhile %d\n", i))
			want = append(want, fmt.Sprintf("meanwhile %d", i))
		}
		b.settle(time.Minute)
		b.daemon.Restart()
		b.settle(7 * time.Second)
		wantEach(t, want, b.sink.lines())
		if n := strings.Count(b.log.String(), "\n"); n > 40 {
			t.Errorf("%d lines were logged for 20 containers in a minute", n)
		}
	})
}

func TestUnreadableDriverIsWarnedOfOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{Name: "quiet", LogDriver: "none"})
		b.settle(10*time.Minute + time.Second)
		if n := strings.Count(b.log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, b.log)
		}
		if n := b.daemon.Count("/containers/" + id + "/logs"); n > 12 {
			t.Errorf("the log was asked for %d times in 10 minutes", n)
		}
		if got := b.source.snapshot()[0].snapshot(time.Now()).State; got != stateUnreadable {
			t.Errorf("the state is %q", got)
		}
		b.daemon.RestartContainer(id)
		b.settle(2 * time.Minute)
		if n := strings.Count(b.log.String(), "level=WARN"); n != 2 {
			t.Errorf("%d warnings after another start, want 2", n)
		}
	})
}

func TestShortLivedContainerArrivesWhole(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{AutoRemove: true})
		b.daemon.AwaitFollowers(id, 1)
		b.daemon.Print(id, "stdout", text(numbered(0, 1000))+"no line end")
		b.daemon.Stop(id)
		b.removeTarget(id)
		b.settle(time.Minute)
		b.wantLines(append(numbered(0, 1000), "no line end")...)
		if n := b.source.count(); n != 0 {
			t.Errorf("%v tails are left", n)
		}
		if s := b.log.String(); strings.Contains(s, "WARN") || strings.Contains(s, "ERROR") {
			t.Errorf("a removed container was logged: %s", s)
		}
	})
}

func TestContainerThatEndedBeforeDiscoveryArrivesWhole(t *testing.T) {
	inBubble(t, func(b *bench) {
		id := b.daemon.Run(dockertest.Container{})
		b.daemon.Print(id, "stdout", text(numbered(0, 10))+"end")
		b.daemon.Stop(id)
		b.target(id, discovery.EndedLabel, "true")
		b.start()
		b.settle(time.Second)
		b.removeTarget(id)
		b.settle(time.Second)
		b.wantLines(append(numbered(0, 10), "end")...)
	})
}

func TestFollowingThatGotStuckIsOpenedAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", "a\n")
		b.settle(59 * time.Second)
		opened := b.daemon.Count("/containers/" + id + "/logs")
		b.settle(24 * time.Hour)
		again := b.daemon.Count("/containers/"+id+"/logs") - opened
		if opened+again < 3 || again > 30 {
			t.Errorf("a silent container was opened %d times in the first minute, and %d times in a day", opened, again)
		}
		b.wantLines("a")
	})
}

func TestDamagedLogIsSkipped(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", "a\n")
		b.settle(time.Second)
		b.daemon.Log(id, dockertest.Entry{Err: `invalid character '\x00' looking for beginning of value`})
		b.settle(time.Minute)
		b.daemon.Print(id, "stdout", "b\n")
		b.settle(time.Minute)
		b.wantLines("a", "b")
		if n := valueOf(b.source.metrics.damageSkipped); n != 1 {
			t.Errorf("%v skips are counted, want 1", n)
		}
		if n := b.daemon.Count("/containers/" + id + "/logs"); n > 20 {
			t.Errorf("the log was opened %d times", n)
		}
	})
}

func TestAlloysPositionsAreContinued(t *testing.T) {
	inBubble(t, func(b *bench) {
		id := b.daemon.Run(dockertest.Container{})
		for i := range 10 {
			b.daemon.Log(id, dockertest.Entry{Time: time.Unix(1_700_000_000+int64(i), 5), Text: fmt.Sprintf("line %d\n", i)})
		}
		positions := fmt.Sprintf(`positions:
  ? path: cursor-%s
    labels: '{__address__="172.17.0.2:80", __meta_docker_container_id="%s"}'
  : "1700000003"
  ? path: cursor-%s
    labels: '{}'
  : "1700000006"
`, id, id, id)
		if err := os.WriteFile(filepath.Join(b.dir, positionsFile), []byte(positions), 0o600); err != nil {
			t.Fatal(err)
		}
		b.target(id)
		b.start()
		b.settle(time.Second)
		b.wantLines(numbered(6, 10)...)
		b.start()
		b.settle(time.Second)
		b.wantLines(numbered(6, 10)...)
	})
}

func TestCursorOfARemovedContainerIsForgottenAfterADay(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		kept, gone := b.container(dockertest.Container{}), b.container(dockertest.Container{})
		for _, id := range []string{kept, gone} {
			b.daemon.Print(id, "stdout", "a\n")
		}
		b.settle(time.Second)
		for _, id := range []string{kept, gone} {
			b.daemon.Stop(id)
			b.removeTarget(id)
		}
		b.settle(time.Minute)
		b.daemon.Remove(gone)
		b.settle(3 * time.Hour)
		if !b.hasCursor(gone) {
			t.Error("the cursor was forgotten at once")
		}
		b.settle(25 * time.Hour)
		if b.hasCursor(gone) {
			t.Error("the cursor of a removed container was kept")
		}
		if !b.hasCursor(kept) {
			t.Error("the cursor of a stopped container was forgotten")
		}
	})
}

func TestStatusTellsWhatATailDoes(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{Name: "web"})
		at := time.Now().UTC()
		b.daemon.Print(id, "stdout", "abc\n")
		b.settle(time.Second)
		got := b.source.Status().(SourceStatus).Tails
		app := map[string]string{"container": "app"}
		want := []TailStatus{{
			ID: id, Name: "web", State: stateReading, Running: true,
			Labels: map[string]map[string]string{"stdout": app, "stderr": app},
			Lines:  1, Bytes: 3, Connections: 1, Cursor: at, ReadOffset: at.Format(time.RFC3339Nano),
		}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

func TestCursorStaysBeforeLinesThatWereGivenUp(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		b.settle(time.Millisecond)
		tail := newTail(b.source, "container")
		tail.setTarget(labels.FromStrings("a", "b"))
		line := rawLine{time: 1, text: []byte("x"), size: 1}
		if err := tail.add(b.t.Context(), stdout, line); err != nil {
			t.Fatal(err)
		}
		tail.abandon(tail.take())
		if err := tail.add(b.t.Context(), stdout, line); err == nil {
			t.Error("a line was taken after lines were given up")
		}
		b.settle(time.Second)
		if c := b.source.store.lookup("container"); c != (cursor{}) {
			t.Errorf("the cursor is %v", c)
		}
	})
}

func TestSourceConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*SourceDockerConfig){
		"":                 func(c *SourceDockerConfig) {},
		"use unix://":      func(c *SourceDockerConfig) { c.Host = "/var/run/docker.sock" },
		"refresh_interval": func(c *SourceDockerConfig) { c.RefreshInterval = 0 },
		"max_line_size":    func(c *SourceDockerConfig) { c.MaxLineSize = 10 },
		"two names":        func(c *SourceDockerConfig) { c.Client, c.HTTPClientConfig = &DockerClient{}, &DockerClient{} },
	} {
		var cfg SourceDockerConfig
		cfg.SetToDefault()
		cfg.Host = "unix:///var/run/docker.sock"
		change(&cfg)
		_, err := NewSourceDocker(cfg, component.Options{Dir: t.TempDir()})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestClientSettingsForASocketAreReported(t *testing.T) {
	var got []string
	var cfg SourceDockerConfig
	cfg.SetToDefault()
	cfg.Host, cfg.HTTPClientConfig = "unix:///var/run/docker.sock", &DockerClient{}
	cfg.HTTPClientConfig.SetToDefault()
	_, err := NewSourceDocker(cfg, component.Options{Warn: func(name, _ string) { got = append(got, name) }})
	if d := cmp.Diff([]string{"http_client_config"}, got); d != "" || err != nil {
		t.Errorf("error %v, warnings %s", err, d)
	}
}

func TestConstructorStartsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "storage")
	var cfg SourceDockerConfig
	cfg.SetToDefault()
	cfg.Host = "tcp://127.0.0.1:1"
	s, err := NewSourceDocker(cfg, component.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewWrite(writeConfig("http://127.0.0.1:1/push"), component.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the storage directory was made: %v", err)
	}
	if got := s.Status().(SourceStatus); len(got.Tails) > 0 {
		t.Errorf("status %v", got)
	}
}
