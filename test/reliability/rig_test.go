//go:build integration

package reliability

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"text/template"
	"time"

	"collector/pkg/profiles/profilestest"
	"collector/test/harness"
)

// rig is a collector of all four signals between numbered sources and real
// backends, each behind a front that can have outages.
type rig struct {
	*harness.Collector
	Engine  *harness.Engine // nil without logs
	Metrics *harness.VictoriaMetrics
	Logs    *harness.VictoriaLogs
	Traces  *harness.OTLPServer
	Profile *profilestest.Server
	Fronts  map[string]*harness.Front // by signal
	moved   map[string]*harness.Front // their successors, by signal, if there are any
	Target  *harness.Target

	GRPCPort, HTTPPort, PyroscopePort int
}

// signals in the order in which outages come to their destinations.
func (*rig) signals() []string { return []string{"logs", "metrics", "traces", "profiles"} }

// newRig starts everything but the collector, which it makes if there is a
// configuration: a template that gets the rig.
func newRig(t testing.TB, engine *harness.Engine, config string) *rig {
	t.Helper()
	r := &rig{
		Engine: engine, Metrics: harness.StartVictoriaMetrics(t), Logs: harness.StartVictoriaLogs(t),
		Traces: harness.StartOTLPServer(t), Profile: profilestest.NewServer(t), Target: harness.StartTarget(t, 20),
		GRPCPort: harness.FreePort(t), HTTPPort: harness.FreePort(t), PyroscopePort: harness.FreePort(t),
	}
	r.Fronts = map[string]*harness.Front{
		"metrics": harness.StartFront(t, frontTarget(t, r.Metrics.URL)), "logs": harness.StartFront(t, frontTarget(t, r.Logs.URL)),
		"traces": harness.StartFront(t, r.Traces.Address), "profiles": harness.StartFront(t, frontTarget(t, r.Profile.URL)),
	}
	if config != "" {
		r.Collector = harness.NewCollector(t, fillTemplate(t, config, r))
	}
	return r
}

func frontTarget(t testing.TB, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func fillTemplate(t testing.TB, config string, data any) string {
	t.Helper()
	var b bytes.Buffer
	if err := template.Must(template.New("config").Parse(config)).Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Docker is the Engine's address, for the template.
func (r *rig) Docker() string { return r.Engine.Host }

// spanSender sends numbered spans to the collector.
func (r *rig) spanSender(t testing.TB) func(seq int) error {
	return harness.SpanSender(t, harness.Address(r.GRPCPort))
}

// profileSender sends numbered profiles to the collector.
func (r *rig) profileSender() func(seq int) error {
	return harness.ProfileSender("http://" + harness.Address(r.PyroscopePort))
}

// checkLines compares what VictoriaLogs has of a container with what the
// Engine kept: each line once, in order, with its timestamp.
func (r *rig) checkLines(t testing.TB, id string) (int, error) {
	t.Helper()
	want := make(map[string][]harness.EngineLine)
	for _, line := range r.Engine.Output(t, id) {
		want[line.Stream] = append(want[line.Stream], line)
	}
	total := 0
	for stream, lines := range want {
		total += len(lines)
		got := r.logged(t, fmt.Sprintf(`{container_id=%q,stream=%q}`, id, stream))
		for i := range min(len(got), len(lines)) {
			if got[i].Line != lines[i].Text || !got[i].Time.Equal(lines[i].Time) {
				return total, fmt.Errorf("%s of %.12s, line %d of %d: got %s %.80q, want %s %.80q; %d have arrived",
					stream, id, i+1, len(lines), got[i].Time, got[i].Line, lines[i].Time, lines[i].Text, len(got))
			}
		}
		if len(got) != len(lines) {
			return total, fmt.Errorf("%s of %.12s: %d lines arrived, %d were written", stream, id, len(got), len(lines))
		}
	}
	return total, nil
}

// scrapeNumbers counts how often each scrape of the target has arrived.
func (r *rig) scrapeNumbers(t testing.TB) map[int]int {
	t.Helper()
	out := make(map[int]int)
	for _, series := range r.Metrics.Export(t, "workload_scrapes_total") {
		for _, v := range series.Values {
			out[int(v)]++
		}
	}
	return out
}

// failedScrapes is how many scrapes the collector says have failed, such as
// those that were not answered in time.
func (r *rig) failedScrapes(t testing.TB) int {
	t.Helper()
	n := 0
	for _, series := range r.Metrics.Export(t, "up") {
		for _, v := range series.Values {
			if v == 0 {
				n++
			}
		}
	}
	return n
}

// patient is a configuration without its short timeouts, so that a slow machine does not
// look like an outage.
func patient(config string) string {
	return shortTimeout.ReplaceAllString(config, "")
}

var shortTimeout = regexp.MustCompile(`(?m)^\s*(remote_timeout|timeout) +=.*$`)

// numbersTo is the numbers 1 to n.
func numbersTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i + 1
	}
	return out
}

// storageUsed is what the collector's storage takes.
func storageUsed(t testing.TB, dir string) int64 {
	t.Helper()
	total := int64(0)
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return nil // files that vanished in the meantime take nothing
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// getsOn waits until everything received so far is delivered to the healthy destinations,
// while the others stay as they are.
func (r *rig) getsOn(t testing.TB, well func(harness.Account) bool) {
	t.Helper()
	backlog := r.Backlog(t, well)
	harness.Eventually(t, catchUp, func() error { return r.Past(t, backlog) })
}

// account is the account of one signal at one destination.
func (r *rig) account(t testing.TB, signal string) harness.Account {
	t.Helper()
	for _, a := range r.Accounts(t) {
		if a.Signal == signal {
			return a
		}
	}
	t.Fatalf("there is no accounting of %s", signal)
	return harness.Account{}
}

// watchMemory follows the collector's resident memory until the test calls the function
// it returns, which returns the largest value seen.
func watchMemory(t testing.TB, rss func() int64) func() int64 {
	t.Helper()
	stop, result := make(chan struct{}), make(chan int64, 1)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		peak := int64(0)
		for {
			select {
			case <-tick.C:
				peak = max(peak, rss())
			case <-stop:
				result <- peak
				return
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-result
	}
}

// rssOf reads a process's resident memory; 0 once it has ended.
func rssOf(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, resident int64
	fmt.Sscan(string(data), &size, &resident)
	return resident * int64(os.Getpagesize())
}
