//go:build integration

package corpus

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"collector/pkg/docker/dockertest"
	"collector/test/harness"
)

// patience is how long something that is fed may take to arrive.
const patience = 90 * time.Second

// TestCorpus runs each configuration of a folder: what is put into each source that
// can be fed arrives at each writer that the graph leads to, with the labels that
// the pipeline gives it. What does not is listed with its reason.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("CORPUS") // an absolute path
	if dir == "" {
		t.Skip("CORPUS names no folder with configurations")
	}
	all, err := readCorpus(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("there are no configurations in %s", dir)
	}
	known, err := readListed(filepath.Join("testdata", "known.txt"))
	if err != nil {
		t.Fatal(err)
	}
	harness.BuildCollector(t)
	p := prepare(t)
	p.redis = startRedis(t)
	var results table
	begin := time.Now()
	t.Run("files", func(t *testing.T) {
		for _, c := range all {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				r := &run{
					t: t, c: c, place: p, dir: t.TempDir(), endpoints: map[string][]*endpoint{}, engines: map[string]*dockertest.Daemon{},
					assigned: map[string]bool{}, contents: map[string]string{},
				}
				o := &outcome{name: c.name, files: len(c.files)}
				defer results.add(o)
				r.test(o, known)
			})
		}
	})
	t.Logf("in %.0f s:\n%s", time.Since(begin).Seconds(), &results)
	if len(results.all) == len(all) && !t.Failed() {
		for _, key := range known.stale() {
			if fileIn(all, key) {
				t.Errorf("testdata/known.txt: nothing is missing any more: remove %q", key)
			}
		}
	}
}

// fileIn reports whether a line of known.txt is about one of the configurations.
func fileIn(all []*configuration, key string) bool {
	name, _, _ := strings.Cut(key, " | ")
	return slices.ContainsFunc(all, func(c *configuration) bool { return c.name == name })
}

// test runs one configuration.
func (r *run) test(o *outcome, known *listed) {
	if r.c.syntax == nil {
		r.adapt()
	}
	r.launch()
	if o.loads = r.starts(); !o.loads {
		r.explain(o, known)
		return
	}
	for _, kind := range r.unknown {
		r.fail(o, "the test does not know whether %s is a source", kind)
	}
	states := r.edges(o)
	r.feedUntilArrived(states, known, o)
	for _, e := range states {
		reason := known.reason(r.c.name, e.name())
		switch {
		case e.arrived && reason != "":
			r.fail(o, "%s arrives, which testdata/known.txt says it doesn't", e.name())
		case e.arrived:
		case reason != "":
			o.notes = append(o.notes, e.name()+": "+reason)
		default:
			r.fail(o, "%s: %s", e.name(), r.report(e))
		}
	}
	for _, e := range states {
		if e.twice {
			r.fail(o, "%s: a line arrives twice", e.name())
		}
	}
	r.count(o, states)
	r.checkHeaders(o)
	r.collector.Accounts(r.t) // fails unless everything adds up
	r.checkHealth(o)
	if code, _ := r.collector.Terminate(r.t, 60*time.Second); code != 0 {
		r.fail(o, "the collector ends with code %d", code)
	}
}

func (r *run) fail(o *outcome, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	o.failed = append(o.failed, text)
	r.t.Errorf("%s: %s", r.c.name, text)
}

// starts reports whether the collector becomes ready.
func (r *run) starts() (ready bool) {
	harness.Eventually(r.t, patience, func() error {
		select {
		case <-r.collector.Done():
			return nil
		default:
		}
		response, err := http.Get(r.collector.URL + "/-/ready")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if ready = response.StatusCode == http.StatusOK; !ready {
			return fmt.Errorf("not ready: %s", response.Status)
		}
		return nil
	})
	return ready
}

var (
	lacking  = regexp.MustCompile(`: (\S+?) is an Alloy (component|block) that collector does not support`)
	location = regexp.MustCompile(`\S+/config/`)
)

// explain says why a configuration doesn't load. A component that the collector
// does not have explains itself, and what refers to it; anything else has to be
// listed.
func (r *run) explain(o *outcome, known *listed) {
	validate := r.collector.Command(r.t, "validate", r.argument(r.path("config")))
	<-validate.Done()
	text := location.ReplaceAllString(validate.Output(), "")
	var missing, other []string
	for line := range strings.Lines(text) {
		switch m := lacking.FindStringSubmatch(line); {
		case m != nil:
			missing = append(missing, m[1])
		case strings.Contains(line, ".alloy:") && !strings.Contains(line, ": warning: "):
			other = append(other, strings.TrimSpace(line))
		}
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(missing))) {
		o.why = append(o.why, name+" is not supported")
	}
	other = slices.DeleteFunc(other, func(line string) bool {
		return slices.ContainsFunc(missing, func(name string) bool { return strings.Contains(line, name) })
	})
	if len(other) == 0 && len(missing) > 0 {
		return
	}
	if reason := known.reason(r.c.name, "-"); reason != "" {
		o.why = append(o.why, reason)
		return
	}
	r.fail(o, "it does not load:\n%s\n%s", text, tail(r.collector.Output(), 10))
}

// edges are the ways of all feeds that can be fed. For a source that can't be, its
// cause is noted.
func (r *run) edges(o *outcome) []*edgeState {
	var out []*edgeState
	for _, f := range r.feeds {
		if len(f.paths) == 0 {
			o.notes = append(o.notes, f.source+": leads to no writer")
		}
		for writer, paths := range f.paths {
			if f.lost != "" {
				o.notes = append(o.notes, f.source+" → "+writer+": not fed: "+f.lost)
				continue
			}
			if len(r.endpoints[writer]) == 0 {
				o.notes = append(o.notes, f.source+" → "+writer+": it delivers to nobody")
			}
			for _, e := range r.endpoints[writer] {
				out = append(out, &edgeState{feed: f, writer: writer, endpoint: e, paths: paths})
			}
		}
	}
	slices.Sort(o.notes)
	o.notes = slices.Compact(o.notes)
	slices.SortFunc(out, func(a, b *edgeState) int { return strings.Compare(a.name(), b.name()) })
	return out
}

// feedUntilArrived feeds what has not arrived everywhere, until all has that is
// not listed.
func (r *run) feedUntilArrived(states []*edgeState, known *listed, o *outcome) {
	deadline := time.Now().Add(patience)
	for n := 1; time.Now().Before(deadline); n++ {
		open := map[*feed]bool{}
		waiting := 0
		for _, e := range states {
			if !e.arrived {
				open[e.feed] = true
				if known.reason(r.c.name, e.name()) == "" {
					waiting++
				}
			}
		}
		if waiting == 0 {
			return
		}
		for f := range open {
			if f.put == nil {
				continue
			}
			if err := f.put(n); err != nil && n%20 == 0 {
				r.t.Logf("%s: feed %s: %v", r.c.name, f.source, err)
			}
		}
		harness.Wait(500 * time.Millisecond)
		r.collect(states, o)
	}
}

// collect looks at what has arrived since the last time.
func (r *run) collect(states []*edgeState, o *outcome) {
	for _, all := range r.endpoints {
		for _, to := range all {
			came := to.collect()
			leads := map[*feed]bool{}
			for _, e := range states {
				if e.endpoint != to {
					continue
				}
				leads[e.feed] = true
				for _, a := range came {
					r.check(e, a)
				}
			}
			for _, f := range r.feeds {
				if leads[f] || !f.marked || f.strayed {
					continue
				}
				if i := slices.IndexFunc(came, f.has); i >= 0 {
					f.strayed = true
					r.fail(o, "%s arrives at %s, where it doesn't lead: %+v", f.source, to.name, came[i])
				}
			}
		}
	}
}

// report says what is known of an edge where nothing arrives.
func (r *run) report(e *edgeState) string {
	if e.wrong != "" {
		return e.wrong
	}
	why := r.collector.Command(r.t, "why", e.feed.at.id, "--addr="+r.collector.URL)
	<-why.Done()
	return fmt.Sprintf("nothing arrives in %s\n%s\n%s", patience, why.Output(), tail(r.collector.Output(), 12))
}

// tail is the last lines of a text that are not only information.
func tail(text string, n int) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, "warn") || strings.Contains(line, "rror") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "")
}

// count counts edges: the forms of one source's data count once.
func (r *run) count(o *outcome, states []*edgeState) {
	arrived := map[string]bool{}
	for _, e := range states {
		name := e.feed.name + " → " + e.endpoint.name
		if before, seen := arrived[name]; !seen || before {
			arrived[name] = e.arrived
		}
	}
	o.edges = len(arrived)
	for _, ok := range arrived {
		if ok {
			o.arrived++
		}
	}
	slices.Sort(o.notes)
	o.notes = slices.Compact(o.notes)
}

// checkHealth checks that all components are healthy where everything arrives.
func (r *run) checkHealth(o *outcome) {
	if o.arrived < o.edges || len(o.failed) > 0 {
		return
	}
	response, err := http.Get(r.collector.URL + "/api/v0/web/components")
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	var all []struct {
		ID     string `json:"localID"`
		Health struct{ State, Message string }
	}
	if err := json.NewDecoder(response.Body).Decode(&all); err != nil {
		r.t.Fatal(err)
	}
	if len(all) == 0 && len(r.feeds) > 0 {
		r.fail(o, "there are no components")
	}
	for _, c := range all {
		if c.Health.State != "healthy" {
			r.fail(o, "%s is %s: %s", c.ID, c.Health.State, c.Health.Message)
		}
	}
}

// checkHeaders checks that requests had the headers that the file asks for.
func (r *run) checkHeaders(o *outcome) {
	for _, all := range r.endpoints {
		for _, e := range all {
			header := e.headers()
			if header == nil {
				continue
			}
			for name, want := range e.want {
				if got := header.Get(name); got != want {
					r.fail(o, "%s sends %s: %q, want %q", e.name, name, got, want)
				}
			}
		}
	}
}
