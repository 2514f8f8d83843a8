package deliver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/queue"
)

// recorder is a destination that keeps what it is sent.
type recorder struct {
	mu   sync.Mutex
	got  []string
	fail error
	some chan struct{} // has a token when something came
}

func newRecorder() *recorder { return &recorder{some: make(chan struct{}, 1)} }

func (r *recorder) Send(_ context.Context, blocks []queue.Block) (Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return Result{}, r.fail
	}
	for _, b := range blocks {
		r.got = append(r.got, string(b.Data))
	}
	select {
	case r.some <- struct{}{}:
	default:
	}
	return Result{}, nil
}

func (r *recorder) Split(queue.Block) []queue.Block { return nil }

func (r *recorder) waitFor(t *testing.T, n int) []string {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		r.mu.Lock()
		got := slices.Clone(r.got)
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-r.some:
		case <-timeout:
			t.Fatalf("%d of %d blocks came: %q", len(got), n, got)
		}
	}
}

// site is a storage path with what a program has of it.
type site struct {
	root    string
	orphans *Orphans
}

func newSite(t *testing.T) *site {
	root := t.TempDir()
	return &site{root: root, orphans: NewOrphans(root, nil)}
}

// writer makes a writer of a component with destinations by their key.
func (s *site) writer(t *testing.T, component string, to map[string]*recorder) *Writer {
	t.Helper()
	o := Options{Component: component, Orphans: s.orphans, Dir: filepath.Join(s.root, component), Signal: "logs"}
	for _, key := range slices.Sorted(mapKeys(to)) {
		o.Destinations = append(o.Destinations, Destination{
			ID: "to-" + key, URL: "http://user:secret@" + key + "/push?token=secret", Key: key, Sender: to[key],
			Backoff: Backoff{Min: time.Millisecond, Max: time.Millisecond},
		})
	}
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mapKeys(m map[string]*recorder) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// run starts writers as one configuration, and returns what stops them.
func (s *site) run(t *testing.T, writers ...*Writer) (stop func()) {
	t.Helper()
	var uses []Use
	for _, w := range writers {
		uses = append(uses, w.Use())
	}
	s.orphans.Settle(uses)
	return startAll(t, writers...)
}

func startAll(t *testing.T, writers ...*Writer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, w := range writers {
		running.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// leave has a writer queue blocks that its destinations do not accept.
func (s *site) leave(t *testing.T, component string, keys ...string) {
	t.Helper()
	to := map[string]*recorder{}
	for _, key := range keys {
		to[key] = newRecorder()
		to[key].fail = fmt.Errorf("%s is down", key)
	}
	w := s.writer(t, component, to)
	stop := s.run(t, w)
	for i := range 5 {
		if err := w.Append(t.Context(), queue.Block{Data: fmt.Appendf(nil, "%s %d", component, i), Items: 1}); err != nil {
			t.Fatal(err)
		}
	}
	stop()
}

// sums adds up the accounts of all queues without a writer.
func (s *site) sums(t *testing.T) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(s.orphans)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			sums[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sums
}

func (s *site) balances(t *testing.T, received, delivered, queued float64) {
	t.Helper()
	sums := s.sums(t)
	if sums["collector_received_items_total"] != received || sums["collector_delivered_items_total"] != delivered || sums["collector_queued_items"] != queued ||
		received != delivered+queued+sums["collector_dropped_items_total"] {
		t.Errorf("want %v received, %v delivered, %v queued: %v", received, delivered, queued, sums)
	}
}

// TestARenamedWriterDeliversWhatItsPredecessorLeft renames a writer at a restart
// and at a reload: what is waiting comes first, then what is new.
func TestARenamedWriterDeliversWhatItsPredecessorLeft(t *testing.T) {
	s := newSite(t)
	s.leave(t, "loki.write.old", "loki")
	s.orphans = NewOrphans(s.root, nil) // another process
	to := newRecorder()
	w := s.writer(t, "loki.write.new", map[string]*recorder{"loki": to})
	stop := s.run(t, w)
	if err := w.Append(t.Context(), queue.Block{Data: []byte("fresh"), Items: 1}); err != nil {
		t.Fatal(err)
	}
	got := to.waitFor(t, 6)
	if want := "loki.write.old 0|loki.write.old 1|loki.write.old 2|loki.write.old 3|loki.write.old 4|fresh"; strings.Join(got, "|") != want {
		t.Errorf("got %q", got)
	}
	stop()
	s.balances(t, 5, 5, 0)
	if found, err := queue.Find(s.root); err != nil || len(found) != 1 || found[0].Component != "loki.write.new" {
		t.Errorf("left on disk: %+v %v", found, err)
	}
}

// TestARunningWriterTakesOverFromARemovedOne removes a writer at a reload that
// leaves another one to the same destination running.
func TestARunningWriterTakesOverFromARemovedOne(t *testing.T) {
	s := newSite(t)
	to := newRecorder()
	kept := s.writer(t, "loki.write.kept", map[string]*recorder{"loki": to})
	down := newRecorder()
	down.fail = fmt.Errorf("down")
	removed := s.writer(t, "loki.write.removed", map[string]*recorder{"loki": down})
	s.orphans.Settle([]Use{kept.Use(), removed.Use()})
	startAll(t, kept)
	stop := startAll(t, removed)
	if err := removed.Append(t.Context(), queue.Block{Data: []byte("left"), Items: 1}); err != nil {
		t.Fatal(err)
	}
	stop()
	s.orphans.Settle([]Use{kept.Use()})
	if got := to.waitFor(t, 1); got[0] != "left" {
		t.Errorf("got %q", got)
	}
}

// TestWhatWaitsForARemovedEndpointIsKeptAndNamed removes one of two endpoints: the
// other gets what waited for it, once.
func TestWhatWaitsForARemovedEndpointIsKeptAndNamed(t *testing.T) {
	s := newSite(t)
	s.leave(t, "loki.write.default", "a", "b")
	to := newRecorder()
	w := s.writer(t, "loki.write.default", map[string]*recorder{"a": to})
	stop := s.run(t, w)
	if err := w.Append(t.Context(), queue.Block{Data: []byte("fresh"), Items: 1}); err != nil {
		t.Fatal(err)
	}
	if got := to.waitFor(t, 6); len(got) != 6 || got[5] != "fresh" {
		t.Errorf("the endpoint that is left got %q", got)
	}
	stop()
	s.balances(t, 10, 5, 5)
	left := s.orphans.Status()
	if len(left) != 1 || left[0].Items != 5 || left[0].URL != "http://b/push" || left[0].Component != "loki.write.default" || left[0].Delivering || left[0].Oldest.IsZero() {
		t.Fatalf("named: %+v", left)
	}
	// A writer to that destination delivers it.
	other := newRecorder()
	stop = s.run(t, w, s.writer(t, "loki.write.other", map[string]*recorder{"b": other}))
	if got := other.waitFor(t, 5); len(got) != 5 {
		t.Errorf("got %q", got)
	}
	stop()
	s.balances(t, 10, 10, 0)
	if len(to.got) != 6 {
		t.Errorf("the endpoint that is left got again: %q", to.got)
	}
}

// TestARemovedWriterComesBackToItsQueue has it removed and added again, and
// another one without any endpoint.
func TestARemovedWriterComesBackToItsQueue(t *testing.T) {
	s := newSite(t)
	s.leave(t, "loki.write.default", "loki")
	stop := s.run(t, s.writer(t, "loki.write.default", nil)) // its only endpoint is removed
	stop()
	s.balances(t, 5, 0, 5)
	if left := s.orphans.Status(); len(left) != 1 || left[0].Dir != filepath.Join(s.root, "loki.write.default") {
		t.Errorf("named: %+v", left)
	}
	to := newRecorder()
	s.run(t, s.writer(t, "loki.write.default", map[string]*recorder{"loki": to}))
	to.waitFor(t, 5)
	if left := s.orphans.Status(); len(left) != 0 {
		t.Errorf("still named: %+v", left)
	}
}

// TestDescriptionsHoldNoSecrets reads what is kept beside a queue.
func TestDescriptionsHoldNoSecrets(t *testing.T) {
	s := newSite(t)
	s.leave(t, "loki.write.default", "loki")
	content, err := os.ReadFile(filepath.Join(s.root, "loki.write.default", "destinations.json"))
	if err != nil || !strings.Contains(string(content), "http://loki/push") || strings.Contains(string(content), "secret") {
		t.Errorf("%s %v", content, err)
	}
}

// TestAQueueOfAnOlderVersionIsNamed has no description: it opens, and is named by
// its folder.
func TestAQueueOfAnOlderVersionIsNamed(t *testing.T) {
	s := newSite(t)
	s.leave(t, "loki.write.default", "loki")
	if err := os.Remove(filepath.Join(s.root, "loki.write.default", "destinations.json")); err != nil {
		t.Fatal(err)
	}
	s.orphans = NewOrphans(s.root, nil)
	s.run(t)
	s.balances(t, 5, 0, 5)
	if left := s.orphans.Status(); len(left) != 1 || left[0].Component != "loki.write.default" || left[0].Destination != "to-loki" {
		t.Errorf("named: %+v", left)
	}
	to := newRecorder()
	s.run(t, s.writer(t, "loki.write.default", map[string]*recorder{"loki": to}))
	to.waitFor(t, 5)
}

func TestQueuesOfWritersThatMayComeAreLeftAlone(t *testing.T) {
	s := newSite(t)
	s.leave(t, "module/loki.write.a", "loki")
	s.leave(t, "loki.write.b", "loki")
	s.orphans.Settle([]Use{{Below: filepath.Join(s.root, "module")}})
	if left := s.orphans.Status(); len(left) != 1 || left[0].Component != "loki.write.b" {
		t.Errorf("left are %+v", left)
	}
	s.orphans.Settle(nil)
	if left := s.orphans.Status(); len(left) != 2 {
		t.Errorf("once no writer comes: %+v", left)
	}
}
