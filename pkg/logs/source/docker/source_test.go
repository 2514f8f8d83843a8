package docker

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/docker/dockertest"
	"collector/pkg/logs/logstest"
)

func TestRestartOfTheCollectorRepeatsAndLosesNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		for i := range 20 {
			b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(10*i, 10*i+7)))
			b.settle(time.Duration(i*17) * time.Millisecond)
			b.stop()
			b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(10*i+7, 10*i+10)))
			b.start()
		}
		b.settle(time.Second)
		b.wantLines(logstest.Numbered(0, 200)...)
	})
}

func TestStoppedAndStartedContainerRepeatsNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(0, 5000)))
		b.settle(10 * time.Second)
		b.daemon.Print(id, "stderr", logstest.Text(logstest.Numbered(5000, 10000)))
		b.settle(time.Second)
		last := b.sink.All()[0].Time
		for _, e := range b.sink.All() {
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
		b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(10000, 10010)))
		b.settle(time.Second)
		if d := cmp.Diff(10010, len(b.sink.Lines())); d != "" {
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

func TestCrashLoopArrivesWhole(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		for i := range 20 {
			b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(5*i, 5*i+5)))
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
		b.wantLines(logstest.Numbered(0, 100)...)
	})
}

func TestSilentContainerThatIsReconnectedRepeatsNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(0, 3)))
		b.settle(time.Second)
		for range 100 {
			b.daemon.AwaitFollowers(id, 1)
			b.daemon.CutConnections()
			b.settle(10 * time.Second)
		}
		b.daemon.Print(id, "stdout", "last\n")
		b.settle(10 * time.Second)
		b.wantLines(append(logstest.Numbered(0, 3), "last")...)
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
		logstest.WantEach(t, want, b.sink.Lines())
	})
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
		b.wantLines(append(logstest.Numbered(0, 1000), "later")...)
		got := b.sink.All()
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
		b.wantLines(logstest.Numbered(0, 3)...)
		if got := b.sink.All()[1].Time; !got.Equal(at.Add(-time.Hour)) {
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
		if got := b.sink.All()[1].Labels; !strings.Contains(got, `version="2"`) {
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
		if got := b.sink.All()[0].Labels; got != `{port="443"}` {
			t.Errorf("labels are %s", got)
		}
	})
}

// The stages that follow may give such lines labels.
func TestLinesWithoutLabelsAreForwarded(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.daemon.Run(dockertest.Container{})
		b.targets.Replace([]discovery.Target{labels.FromStrings(containerIDLabel, id, containerNameLabel, "/app")})
		b.daemon.Print(id, "stdout", "a\n")
		b.settle(time.Second)
		b.wantLines("a")
		if got := b.sink.All()[0].Labels; got != "{}" {
			t.Errorf("labels are %s", got)
		}
	})
}

func TestRelabelingDropsAndCounts(t *testing.T) {
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
		if n := logstest.ValueOf(b.source.metrics.dropped.WithLabelValues(reasonRelabel)); n != 0 {
			t.Errorf("%v lines were read again", n)
		}
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
			b.daemon.Print(id, "stdout", fmt.Sprintf("later %d\n", i))
			want = append(want, fmt.Sprintf("later %d", i))
		}
		b.settle(time.Minute)
		b.daemon.Restart()
		b.settle(7 * time.Second)
		logstest.WantEach(t, want, b.sink.Lines())
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
		stop := b.discover()
		defer stop()
		id := b.daemon.Run(dockertest.Container{AutoRemove: true})
		b.settle(time.Second)
		known := b.daemon.Count("/containers/" + id + "/json")
		b.target(id)
		b.daemon.AwaitFollowers(id, 1)
		// Its log may no longer exist once the Engine has answered another request.
		if n := b.daemon.Count("/containers/"+id+"/json") - known; known == 0 || n > 0 {
			t.Errorf("it was inspected %d times, and %d times again before its log was opened", known, n)
		}
		b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(0, 1000))+"no line end")
		b.daemon.Stop(id)
		b.removeTarget(id)
		b.settle(time.Minute)
		b.wantLines(append(logstest.Numbered(0, 1000), "no line end")...)
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
		b.daemon.Print(id, "stdout", logstest.Text(logstest.Numbered(0, 10))+"end")
		b.daemon.Stop(id)
		b.target(id, discovery.EndedLabel, "true")
		b.start()
		b.settle(time.Second)
		b.removeTarget(id)
		b.settle(time.Second)
		b.wantLines(append(logstest.Numbered(0, 10), "end")...)
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
		if n := logstest.ValueOf(b.source.metrics.damageSkipped); n != 1 {
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
		b.wantLines(logstest.Numbered(6, 10)...)
		b.start()
		b.settle(time.Second)
		b.wantLines(logstest.Numbered(6, 10)...)
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

func TestStatusShowsWhatATailDoes(t *testing.T) {
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
	for want, change := range map[string]func(*Config){
		"":                       func(c *Config) {},
		"use unix://":            func(c *Config) { c.Host = "/var/run/docker.sock" },
		"refresh_interval":       func(c *Config) { c.RefreshInterval = 0 },
		"max_line_size":          func(c *Config) { c.MaxLineSize = 10 },
		"is another name for it": func(c *Config) { c.Client, c.HTTPClientConfig = &Client{}, &Client{} },
	} {
		var cfg Config
		cfg.SetToDefault()
		cfg.Host = "unix:///var/run/docker.sock"
		change(&cfg)
		_, err := New(cfg, component.Options{Dir: t.TempDir()})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestClientSettingsForASocketAreReported(t *testing.T) {
	var got []string
	var cfg Config
	cfg.SetToDefault()
	cfg.Host, cfg.HTTPClientConfig = "unix:///var/run/docker.sock", &Client{}
	cfg.HTTPClientConfig.SetToDefault()
	_, err := New(cfg, component.Options{Warn: func(name, _ string) { got = append(got, name) }})
	if d := cmp.Diff([]string{"http_client_config"}, got); d != "" || err != nil {
		t.Errorf("error %v, warnings %s", err, d)
	}
}

func TestConstructorStartsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "storage")
	var cfg Config
	cfg.SetToDefault()
	cfg.Host = "tcp://127.0.0.1:1"
	s, err := New(cfg, component.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the storage directory was made: %v", err)
	}
	if got := s.Status().(SourceStatus); len(got.Tails) > 0 {
		t.Errorf("status %v", got)
	}
}

func TestPromtailsPositionsAreContinued(t *testing.T) {
	inBubble(t, func(b *bench) {
		read, other := b.daemon.Run(dockertest.Container{}), b.daemon.Run(dockertest.Container{})
		for i := range 10 {
			b.daemon.Log(read, dockertest.Entry{Time: time.Unix(1_700_000_000+int64(i), 5), Text: fmt.Sprintf("line %d\n", i)})
		}
		b.daemon.Log(other, dockertest.Entry{Time: time.Unix(1_700_000_000, 0), Text: "line 10\n"})
		b.cfg.LegacyPositionsFile = filepath.Join(b.dir, "promtail.yaml")
		positions := fmt.Sprintf("positions:\n  /var/log/a.log: \"17\"\n  cursor-journal: s=1;i=2\n  cursor-%s: \"1700000006\"\n", read)
		if err := os.WriteFile(b.cfg.LegacyPositionsFile, []byte(positions), 0o600); err != nil {
			t.Fatal(err)
		}
		b.target(read)
		b.target(other)
		for range 2 { // and once more, from its own cursors
			b.start()
			b.settle(time.Second)
			got, want := b.sink.Lines(), logstest.Numbered(6, 11)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
}
