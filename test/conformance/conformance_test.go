//go:build integration

package conformance

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/test/harness"
)

// Times for cases that have none of their own. A correct case does not wait for them.
const (
	longest = 20 * time.Second       // until all has arrived
	silence = 700 * time.Millisecond // in which nothing more may arrive
	nothing = 2 * time.Second        // in which nothing arrives if nothing should
)

// TestCases runs every recorded case, but for those that need what is listed in
// testdata/later.txt. Those in testdata/differences.txt have to differ.
func TestCases(t *testing.T) {
	cases, err := Load(filepath.Join("testdata", "cases"))
	if err != nil {
		t.Fatal(err)
	}
	differences := readDifferences(t)
	later := newMarks(t)
	t.Run("cases", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				if missing := later.missing(t, &c); len(missing) > 0 {
					t.Skipf("it needs %s", strings.Join(missing, ", "))
				}
				diff := c.run(t)
				reason, differs := differences[c.Name]
				switch {
				case differs && diff == "":
					t.Errorf("it is as in Alloy, and listed as different: %s", reason)
				case !differs && diff != "":
					t.Errorf("%s\n%s\n(-Alloy +collector):\n%s", c.About, c.Config, diff)
				}
			})
		}
	})
	later.check(t)
	for name := range differences {
		if !slices.ContainsFunc(cases, func(c Case) bool { return c.Name == name }) {
			t.Errorf("testdata/differences.txt lists %s, and there is no such case", name)
		}
	}
}

// run runs a case and returns how the collector differs from Alloy; "": not at
// all.
func (c *Case) run(t *testing.T) string {
	t.Helper()
	r, started := start(t, c)
	if c.Refused() || !started {
		if c.Refused() != started {
			return ""
		}
		if started {
			return "the configuration is accepted, and Alloy refuses it"
		}
		return "the configuration is refused:\n" + r.collector.Output()
	}
	r.feed(t)
	want := c.comparable(r.wanted())
	limit := longest
	if len(c.Output) == 0 {
		limit = max(nothing, time.Duration(c.Wait*float64(time.Second)))
	}
	deadline, since := time.Now().Add(limit), time.Time{}
	seen := false // the metrics, where they expire
	for {
		got, err := r.output(t)
		if err != nil {
			return err.Error()
		}
		compared := c.comparable(got)
		if seen = seen || c.expires() && cmp.Equal(want["self"], compared["self"]); seen {
			compared["self"] = want["self"]
		}
		diff := cmp.Diff(want, compared)
		now := time.Now()
		if diff != "" {
			since = time.Time{}
		} else if since.IsZero() {
			since = now
		}
		if now.After(deadline) || diff == "" && len(c.Output) > 0 && now.Sub(since) > silence {
			return diff
		}
		harness.Wait(100 * time.Millisecond)
	}
}

// expires reports whether the case's metrics go after a while without being touched.
// On a busy machine they may, before all else has arrived.
func (c *Case) expires() bool { return strings.Contains(c.Config, "max_idle_duration") }

// wanted is what the case has recorded, with the places of this run.
func (r *run) wanted() map[string]any {
	var fill func(v any) any
	fill = func(v any) any {
		switch v := v.(type) {
		case string:
			return r.place.fill(v)
		case []any:
			out := make([]any, len(v))
			for i := range v {
				out[i] = fill(v[i])
			}
			return out
		case map[string]any:
			out := map[string]any{}
			for key, value := range v {
				out[r.place.fill(key)] = fill(value)
			}
			return out
		}
		return v
	}
	return fill(r.Output).(map[string]any)
}

// readDifferences reads the cases in which the collector differs on purpose,
// with the reason. docs/replacing-alloy.md has to name each.
func readDifferences(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(harness.Root(), "docs", "replacing-alloy.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, line := range readLines(t, "differences.txt") {
		name, reason, _ := strings.Cut(line, ": ")
		out[name] = reason
		if reason == "" {
			t.Errorf("%s has no reason", name)
		}
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/replacing-alloy.md does not name %s", name)
		}
	}
	return out
}

func readLines(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := strings.TrimSpace(s.Text()); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// marks are the components and blocks that are to come, by testdata/later.txt.
type marks struct {
	listed []string

	mu   sync.Mutex
	used map[string]bool // guarded by mu
}

func newMarks(t *testing.T) *marks {
	return &marks{listed: readLines(t, "later.txt"), used: map[string]bool{}}
}

var unknown = regexp.MustCompile(`(?m): (\S+?) is an Alloy (component|block) that collector does not support`)

// missing is what a case needs and the collector does not have. It has to be listed.
func (m *marks) missing(t *testing.T, c *Case) (names []string) {
	t.Helper()
	config, err := c.configuration(place{port: 1000, port2: 2000, out: "http://127.0.0.1:1/case", grpc: "127.0.0.1:1", dir: "/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	collector := harness.NewCollector(t, config)
	validate := collector.Command(t, "validate", collector.Config())
	<-validate.Done()
	for _, found := range unknown.FindAllStringSubmatch(validate.Output(), -1) {
		name := found[1]
		if found[2] == "block" && !strings.HasPrefix(name, "stage.") {
			name, _, _ = strings.Cut(name, ".") // a top-level block, with its label
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		m.used[name] = true
		if !slices.Contains(m.listed, name) {
			t.Errorf("there is no %s, and testdata/later.txt does not say that it comes later", name)
		}
	}
	return names
}

// check fails for what has been implemented by now.
func (m *marks) check(t *testing.T) {
	t.Helper()
	for _, name := range m.listed {
		if !m.used[name] {
			t.Errorf("testdata/later.txt says that %s comes later, and every case has it: remove the line", name)
		}
	}
}
