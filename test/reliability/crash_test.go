//go:build integration

package reliability

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/docker/docker/api/types/container"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/logs/lokitest"
	"collector/pkg/profiles/profilestest"
	"collector/pkg/remotewrite/remotewritetest"
	"collector/test/harness"
)

//go:embed foursignals.alloy
var fourSignalsConfig string

// fourSignals is a collector that gets all four signals, and strict
// destinations whose answers come late.
type fourSignals struct {
	Collector *harness.Collector
	Loki      *lokitest.Server
	Metrics   *remotewritetest.Receiver
	Tempo     *harness.OTLPServer
	Pyroscope *profilestest.Server
	Target    *harness.Target
	Proxies   map[string]*harness.Proxy
	Journals  map[string]*harness.Journal

	GRPC, HTTP, Profiles int // ports

	pages int // that the target had certainly served when the queues were empty
}

// startFourSignals starts everything but the collector. engine is the host of a
// Docker Engine; without one it has no logs.
func startFourSignals(t *testing.T, engine string, delay time.Duration) *fourSignals {
	t.Helper()
	s := &fourSignals{
		Loki: lokitest.New(t), Metrics: remotewritetest.New(t, nil), Tempo: harness.StartOTLPServer(t), Pyroscope: profilestest.NewLooseServer(t),
		Target: harness.StartTarget(t, 200),
		GRPC:   harness.FreePort(t), HTTP: harness.FreePort(t), Profiles: harness.FreePort(t),
	}
	t.Cleanup(func() {
		for _, problem := range s.Pyroscope.Problems() {
			if !strings.Contains(problem, "unexpected EOF") { // the connection was cut
				t.Errorf("the Pyroscope server refused a request: %s", problem)
			}
		}
	})
	s.Proxies = make(map[string]*harness.Proxy)
	for signal, address := range map[string]string{
		"logs": hostOf(t, s.Loki.URL()), "metrics": hostOf(t, s.Metrics.URL), "traces": s.Tempo.Address, "profiles": hostOf(t, s.Pyroscope.URL),
	} {
		s.Proxies[signal] = harness.StartProxy(t, harness.StartLag(t, address, delay))
	}
	s.Journals = s.journals()
	s.Collector = harness.NewCollector(t, s.config(t, engine, edit{}))
	return s
}

func hostOf(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// edit is what a test changes in the configuration of a fourSignals, in milliseconds, so
// that the components start again. The zero value is the configuration at the start.
type edit struct{ Scrape, RemoteWrite, Relabel, Loki, Receive, Pyroscope, Receiver, Exporter int }

// config is the configuration; without an engine, given by its host, it has no
// logs.
func (s *fourSignals) config(t *testing.T, engine string, e edit) string {
	t.Helper()
	var b strings.Builder
	err := template.Must(template.New("config").Parse(fourSignalsConfig)).Execute(&b, map[string]any{
		"Engine": engine, "Target": s.Target.Address, "Edit": e, "GRPC": s.GRPC, "HTTP": s.HTTP, "Profiles": s.Profiles,
		"Loki": s.Proxies["logs"].Address, "VictoriaMetrics": s.Proxies["metrics"].Address,
		"Tempo": s.Proxies["traces"].Address, "Pyroscope": s.Proxies["profiles"].Address,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// journals says what an item of each destination is.
func (s *fourSignals) journals() map[string]*harness.Journal {
	return map[string]*harness.Journal{
		"logs": {Name: "logs", InFlight: 1, Count: func() int { return len(s.Loki.Requests()) }, Requests: func() (out [][]harness.Item) {
			for _, r := range s.Loki.Requests() {
				var items []harness.Item
				for _, e := range r.Entries {
					items = append(items, harness.Item{Number: e.Labels + e.Line, Whole: fmt.Sprint(e)})
				}
				out = append(out, items)
			}
			return out
		}},
		"metrics": {Name: "metrics", InFlight: 1, Count: func() int { return len(s.Metrics.Requests()) }, Requests: func() (out [][]harness.Item) {
			for _, r := range s.Metrics.Requests() {
				var items []harness.Item
				for _, sample := range remotewritetest.Samples(&r.Write) {
					number := fmt.Sprintf("%s %d", sample.Series, sample.T)
					if strings.Contains(sample.Series, "workload_") && !math.IsNaN(sample.Value()) {
						// The same value at another time is a repetition, too. The end of
						// a series may be repeated any number of times.
						number = fmt.Sprintf("%s %v", sample.Series, sample.Value())
					}
					items = append(items, harness.Item{Number: number, Whole: fmt.Sprint(sample)})
				}
				out = append(out, items)
			}
			return out
		}},
		"traces": {Name: "traces", InFlight: 10, Count: func() int { return len(s.Tempo.Traces()) }, Requests: s.spans},
		"profiles": {Name: "profiles", InFlight: 8, Count: func() int { return len(s.Pyroscope.Requests()) }, Requests: func() (out [][]harness.Item) {
			for _, r := range s.Pyroscope.Requests() {
				whole := fmt.Sprintf("%s %s %x", r.Query, r.ContentType, sha256.Sum256(r.Body))
				out = append(out, []harness.Item{{Number: r.Labels["seq"], Whole: whole}})
			}
			return out
		}},
	}
}

func (s *fourSignals) spans() (out [][]harness.Item) {
	for _, r := range s.Tempo.Traces() {
		var items []harness.Item
		for _, rs := range r.Traces().ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					alone := ptrace.NewTraces()
					span.CopyTo(alone.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
					text, _ := (&ptrace.JSONMarshaler{}).MarshalTraces(alone)
					items = append(items, harness.Item{Number: strings.TrimPrefix(span.Name(), "span "), Whole: string(text)})
				}
			}
		}
		out = append(out, items)
	}
	return out
}

// cut records that the collector has lost contact with all destinations: its process has
// ended, or all of its connections were cut and no new ones accepted.
func (s *fourSignals) cut(t *testing.T) {
	t.Helper()
	for _, p := range s.Proxies {
		p.Settle(t)
	}
	for _, j := range s.Journals {
		j.Cut()
	}
}

// load is senders of spans and profiles.
type load struct{ spans, profiles *harness.Attempts }

func (s *fourSignals) startLoad(t *testing.T) load {
	return load{
		spans:    harness.StartAttempts(t, 5*time.Millisecond, harness.SpanSender(t, harness.Address(s.GRPC))),
		profiles: harness.StartAttempts(t, 10*time.Millisecond, harness.ProfileSender("http://"+harness.Address(s.Profiles))),
	}
}

// missing reports which of the acknowledged items have not arrived.
func missing(acked []int, arrived map[string]int) (out []int) {
	for _, n := range acked {
		if arrived[fmt.Sprint(n)] == 0 {
			out = append(out, n)
		}
	}
	return out
}

// drain waits until everything that had been received when it was called has been
// handled. Scraping continues in the meantime.
func (s *fourSignals) drain(t *testing.T) {
	t.Helper()
	backlog := s.Collector.Backlog(t, harness.Every)
	harness.GetsOn(t, 60*time.Second, func() error { return s.Collector.Past(t, backlog) })
}

// drainAndJudge waits until nothing that was received is queued, and returns the verdicts by
// signal.
func (s *fourSignals) drainAndJudge(t *testing.T) map[string]harness.Verdict {
	t.Helper()
	// The last page may be read while the count is taken.
	s.pages = s.Target.Scrapes() - 1
	s.drain(t)
	for _, account := range s.Collector.Accounts(t) {
		if account.Dropped > 0 {
			t.Errorf("dropped: %+v", account)
		}
	}
	out := make(map[string]harness.Verdict)
	for signal, j := range s.Journals {
		v, err := j.Judge()
		if err != nil {
			t.Error(err)
		}
		out[signal] = v
	}
	return out
}

// checkLines compares what Loki has with what the Engine keeps: each line once,
// with its time.
func checkLines(t *testing.T, engine *harness.Engine, loki *lokitest.Server, ids ...string) (lines int, err error) {
	t.Helper()
	stored := make(map[string]int)
	for _, e := range loki.Entries() {
		labels, err := lokitest.ParseLabels(e.Labels)
		if err != nil {
			t.Fatal(err)
		}
		stored[fmt.Sprint(labels["container_id"], labels["stream"], e.Time.UnixNano(), e.Line)]++
	}
	for _, id := range ids {
		for _, line := range engine.Output(t, id) {
			lines++
			key := fmt.Sprint(id, line.Stream, line.Time.UnixNano(), line.Text)
			if stored[key] != 1 {
				return lines, fmt.Errorf("%q of %.12s, written at %s, is stored %d times", line.Text, id, line.Time, stored[key])
			}
		}
	}
	if lines != len(stored) {
		return lines, fmt.Errorf("%d lines are stored, %d were written", len(stored), lines)
	}
	return lines, nil
}

// killPhase is one part of the scenario: how often the collector is killed, and
// whether the destinations are away in the meantime.
type killPhase struct {
	kills int
	away  bool
}

// setAway makes all destinations refuse connections, and cuts open ones, or makes them
// accept connections again.
func (s *fourSignals) setAway(t *testing.T, away bool) {
	t.Helper()
	if !away {
		for _, p := range s.Proxies {
			p.Set(t, harness.None)
		}
		return
	}
	for _, p := range s.Proxies {
		p.Set(t, harness.Refuse)
	}
	s.cut(t)
}

// TestR2_L6_KillsLoseNothingAndRepeatOnlyWhatWasInFlight kills the collector every few
// seconds under load of all four signals, even while all destinations are away.
func TestR2_L6_KillsLoseNothingAndRepeatOnlyWhatWasInFlight(t *testing.T) {
	t.Parallel()
	engine := harness.StartEngine(t)
	s := startFourSignals(t, engine.Host, 40*time.Millisecond)
	var ids []string
	for _, name := range []string{"one", "two"} {
		ids = append(ids, engine.Run(t, harness.Container{Name: name, Args: []string{"-lines=10000000", "-interval=5ms", "-streams=stdout,stderr", "-stay"}}))
	}
	s.Collector.Start(t)
	load := s.startLoad(t)

	every := 3 * time.Second
	phases := []killPhase{{kills: 3}, {kills: 3, away: true}, {kills: 3}}
	if harness.Soaking() {
		every = 5 * time.Second
		phases = []killPhase{{kills: 120}, {kills: 60, away: true}, {kills: 180}}
	}
	var servedAtKill []int
	for _, phase := range phases {
		if phase.away {
			s.setAway(t, true)
		}
		for range phase.kills {
			harness.Wait(every)
			s.Collector.Accounts(t)
			s.Collector.Kill()
			s.Target.Settle(t)
			servedAtKill = append(servedAtKill, s.Target.Scrapes())
			s.cut(t)
			s.Collector.Start(t)
		}
		if phase.away {
			s.setAway(t, false)
		}
	}
	harness.Wait(every)

	spans, profiles := load.spans.Stop(), load.profiles.Stop()
	for _, id := range ids {
		engine.Client.ContainerStop(context.Background(), id, container.StopOptions{})
	}
	var lines int
	harness.GetsOn(t, 60*time.Second, func() (err error) {
		lines, err = checkLines(t, engine, s.Loki, ids...)
		return err
	})
	// A batch of lines is in the queue a moment before its cursor is stored. A kill
	// between the two makes that batch be read again; as both wait in the queue, they may
	// arrive one after the other with no cut between them.
	s.Journals["logs"].Abandoned = len(servedAtKill)
	verdicts := s.drainAndJudge(t)
	if lost := missing(spans, verdicts["traces"].Arrived); len(lost) > 0 {
		t.Errorf("%d of %d acknowledged spans are lost: %v", len(lost), len(spans), lost)
	}
	if lost := missing(profiles, verdicts["profiles"].Arrived); len(lost) > 0 {
		t.Errorf("%d of %d acknowledged profiles are lost: %v", len(lost), len(profiles), lost)
	}
	scrapes := s.checkScrapes(t, verdicts["metrics"], servedAtKill)
	repeated := 0
	for signal, v := range verdicts {
		t.Logf("%s: %d items arrived, repeated by cut %v", signal, v.Items, v.Repeated)
		for _, n := range v.Repeated {
			repeated += n
		}
	}
	t.Logf("%d kills; %d lines, %d scrapes, %d spans, %d profiles; 0 lost; %d items in flight at a kill came twice, identical",
		len(servedAtKill), lines, scrapes, len(spans), len(profiles), repeated)
	if repeated == 0 {
		t.Error("no kill hit a batch in flight: nothing was tested of it")
	}
	s.Collector.Stop(t)
}

// checkScrapes checks that every page that was served has arrived, whole, but
// for those that the collector was reading when it was killed, and for those
// that it says it has not got in time: there is a sample of up that is 0, of an
// earlier time than that at which the page was served, for each. It returns how
// many have arrived.
func (s *fourSignals) checkScrapes(t *testing.T, v harness.Verdict, servedAtKill []int) (arrived int) {
	t.Helper()
	labels := fmt.Sprintf(`instance=%q, job="prometheus.scrape.target"`, s.Target.Address)
	served, failed := s.Target.Served(), s.failedScrapes(labels)
	late := 0
	for n := 1; n <= s.pages; n++ {
		have := 0
		if v.Arrived[fmt.Sprintf(`{__name__="workload_scrapes_total", %s} %d`, labels, n)] > 0 {
			have++
		}
		for i := range 200 {
			if v.Arrived[fmt.Sprintf(`{__name__="workload_value", index="%d", %s} %d`, i, labels, n+i)] > 0 {
				have++
			}
		}
		switch {
		case have == 201:
			arrived++
		case have > 0:
			t.Errorf("of page %d, %d samples of 201 have arrived", n, have)
		case slices.Contains(servedAtKill, n):
		case late < len(failed) && failed[late] <= served[n-1].UnixMilli():
			late++
		default:
			t.Errorf("page %d has not arrived, and no scrape is said to have failed; %d before were late, of %d failures", n, late, len(failed))
		}
	}
	t.Logf("%d pages were served, %d of them too late for the scrape, which says so", s.pages, late)
	return arrived
}

// failedScrapes is when scrapes failed, in order, in milliseconds.
func (s *fourSignals) failedScrapes(labels string) (times []int64) {
	for _, sample := range s.Metrics.Samples() {
		if sample.Series == fmt.Sprintf(`{__name__="up", %s}`, labels) && sample.Value() == 0 {
			times = append(times, sample.T)
		}
	}
	slices.Sort(times)
	return slices.Compact(times)
}
