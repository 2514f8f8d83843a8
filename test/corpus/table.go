package corpus

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
)

// outcome is the result of one configuration.
type outcome struct {
	name    string
	files   int
	loads   bool
	why     []string // why it doesn't load
	edges   int      // from a source to a writer, of those that can be fed
	arrived int
	notes   []string // for each edge that is missing, why
	failed  []string // what is not explained
}

// edgeState is one way of a feed to an endpoint.
type edgeState struct {
	feed     *feed
	writer   string
	endpoint *endpoint
	paths    []path
	arrived  bool
	wrong    string // how the nearest arrival differs
	seen     map[string]bool
	twice    bool // a line has arrived again
}

func (e *edgeState) name() string { return e.feed.source + " → " + e.endpoint.name }

// check looks at an arrival at the end of e.
func (r *run) check(e *edgeState, a arrival) {
	if !e.feed.has(a) {
		return
	}
	if e.feed.form == "" && e.feed.signal == "logs" && e.feed.put != nil && len(e.paths) == 1 {
		if e.seen == nil {
			e.seen = map[string]bool{}
		}
		e.twice = e.twice || e.seen[a.text]
		e.seen[a.text] = true
	}
	if e.arrived {
		return
	}
	for _, p := range e.paths {
		missing := ""
		want := r.expected(e.feed, p)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if a.labels[name] != want[name] {
				missing = fmt.Sprintf("it arrives with %s=%q, not %q", name, a.labels[name], want[name])
			}
		}
		if missing == "" {
			e.arrived = true
			return
		}
		e.wrong = missing
	}
}

// listed are the edges that are known to be missing, and files that are known not
// to load, each with its reason.
type listed struct {
	mu      sync.Mutex
	reasons map[string]string // by file and edge
	used    map[string]bool
}

// readListed reads lines of: file | edge | reason.
func readListed(path string) (*listed, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	l := &listed{reasons: map[string]string{}, used: map[string]bool{}}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.SplitN(line, " | ", 3)
		if len(parts) != 3 {
			return nil, fmt.Errorf("%s: want file | edge | reason, not %q", path, line)
		}
		l.reasons[parts[0]+" | "+parts[1]] = parts[2]
	}
	return l, nil
}

// reason is why something is missing; "" if it isn't listed.
func (l *listed) reason(file, edge string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range []string{file + " | " + edge, file + " | " + strings.TrimSuffix(edge, " → "+edge[strings.LastIndex(edge, " ")+1:])} {
		if l.reasons[key] != "" {
			l.used[key] = true
			return l.reasons[key]
		}
	}
	return ""
}

// stale are the lines that no run needed.
func (l *listed) stale() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for key := range l.reasons {
		if !l.used[key] {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// table is the result of all.
type table struct {
	mu  sync.Mutex
	all []*outcome
}

func (t *table) add(o *outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, o)
}

// String lists each configuration, and the sums.
func (t *table) String() string {
	slices.SortFunc(t.all, func(a, b *outcome) int { return cmp.Compare(a.name, b.name) })
	var b strings.Builder
	var sum struct{ configurations, files, loads, whole, edges, arrived, missing, failed int }
	for _, o := range t.all {
		sum.configurations++
		sum.files += o.files
		if !o.loads {
			fmt.Fprintf(&b, "%s: doesn't load\n", o.name)
			for _, why := range o.why {
				fmt.Fprintf(&b, "    %s\n", why)
			}
		} else {
			sum.loads += o.files
			if len(o.notes)+len(o.failed) == 0 {
				sum.whole += o.files
			}
			sum.edges, sum.arrived, sum.missing = sum.edges+o.edges, sum.arrived+o.arrived, sum.missing+len(o.notes)
			fmt.Fprintf(&b, "%s: arrived %d of %d\n", o.name, o.arrived, o.edges)
			for _, note := range o.notes {
				fmt.Fprintf(&b, "    %s\n", note)
			}
		}
		for _, f := range o.failed {
			sum.failed++
			fmt.Fprintf(&b, "    FAILED: %s\n", strings.ReplaceAll(f, "\n", "\n        "))
		}
	}
	fmt.Fprintf(&b, "\n%d files (%d configurations): %d load, of which %d run whole; %d of %d edges arrive, %d more are named with their cause; %d failures\n",
		sum.files, sum.configurations, sum.loads, sum.whole, sum.arrived, sum.edges, sum.missing, sum.failed)
	return b.String()
}
