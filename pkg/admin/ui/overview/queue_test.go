package overview

import (
	"strings"
	"testing"
	"time"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/deliver"
	"collector/pkg/durable"
	"collector/pkg/graph"
)

// ofQueue is a destination whose queue is as change makes it.
func ofQueue(component string, change func(*flow.Destination)) flow.Destination {
	d := flow.Destination{Component: component, URL: "http://tempo", Signal: "traces", Healthy: true, Stores: true, Dropped: map[string]uint64{}}
	d.Queue = deliver.Queue{Capacity: 200_000, WhenFull: "refuse", Disk: &durable.Space{Free: 1 << 40, Disk: 1}}
	change(&d)
	return d
}

func full(words, whenFull string) func(*flow.Destination) {
	return func(d *flow.Destination) {
		d.FullQueue, d.Queue.WhenFull, d.Queue.FullSince = words, whenFull, time.Now()
	}
}

func TestAFullQueueIsAProblem(t *testing.T) {
	const words = "queue full (200 kB): 5,880 spans refused, senders retry"
	short := func(free int64, disk uint64) func(*flow.Destination) {
		return func(d *flow.Destination) { d.Queue.Disk = &durable.Space{Free: free, Disk: disk} }
	}
	lossy := ofQueue("w.a", full("queue full (200 kB): 7 samples dropped, the oldest first", "drop_oldest"))
	lossy.Dropped["queue_full"] = 7
	for name, c := range map[string]struct {
		destinations []flow.Destination
		want         []string // one for each problem: its kind and parts of its texts
	}{
		"room":            {[]flow.Destination{ofQueue("w.a", func(*flow.Destination) {})}, nil},
		"senders retry":   {[]flow.Destination{ofQueue("w.a", full(words, "refuse"))}, []string{"bad|Queue full (200 kB): 5,880 spans refused, senders retry. |w.a (traces to http://tempo)|when a sender gives up"}},
		"senders wait":    {[]flow.Destination{ofQueue("w.a", full("queue full (200 kB): senders wait", "wait"))}, []string{"bad|senders wait|as long as the sources keep it"}},
		"the oldest goes": {[]flow.Destination{lossy}, []string{"bad|7 samples dropped, the oldest first|is being lost"}},
		"of two endpoints, once": {[]flow.Destination{ofQueue("w.a", full(words, "refuse")), ofQueue("w.a", full(words, "refuse"))},
			[]string{"bad|5,880 spans refused"}},
		"it cannot be written": {[]flow.Destination{ofQueue("w.a", func(d *flow.Destination) { d.Queue.Failing = "append: read-only file system\nmore" })},
			[]string{"bad|w.a (traces to http://tempo) cannot be written to: append: read-only file system.|make it writable"}},
		"a small disk, said once": {[]flow.Destination{ofQueue("w.a", short(100_000, 1)), ofQueue("w.b", short(100_000, 1)), ofQueue("w.c", short(100_000, 2)), ofQueue("w.d", short(300_000, 1))},
			[]string{"warn|97.7 KiB free|w.a (traces, up to 200 kB), w.b (traces, up to 200 kB).|larger disk", "warn|w.c (traces"}},
	} {
		s := situation{now: time.Now(), destinations: c.destinations}
		got := s.problems()
		if len(got) != len(c.want) {
			t.Errorf("%s: %d problems: %+v", name, len(got), got)
			continue
		}
		for i, want := range c.want {
			text := got[i].Kind + "|" + got[i].Message + "|" + got[i].Fix
			for part := range strings.SplitSeq(want, "|") {
				if !strings.Contains(text, part) {
					t.Errorf("%s: no %q in %s", name, part, text)
				}
			}
		}
	}
}

func TestTheGaugeOfAQueue(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*flow.Destination)
		want   []string
	}{
		"empty":           {func(*flow.Destination) {}, []string{`value="0.0000"`, "0% of 200 kB"}},
		"a little":        {func(d *flow.Destination) { d.QueuedBytes = 10 }, []string{"under 1% of 200 kB"}},
		"an eighth":       {func(d *flow.Destination) { d.QueuedBytes = 25_000 }, []string{`value="0.1250"`, "12% of 200 kB"}},
		"it grows":        {func(d *flow.Destination) { d.QueuedBytes, d.FullInSeconds = 100_000, 5400 }, []string{"50% of 200 kB", ", full in 1 h 30 min"}},
		"it hardly grows": {func(d *flow.Destination) { d.QueuedBytes, d.FullInSeconds = 100_000, 40*86400 }, []string{"50% of 200 kB</span>"}},
		"full":            {func(d *flow.Destination) { d.QueuedBytes, d.Queue.FullSince = 190_000, time.Now() }, []string{`value="1.0000"`, "100% of 200 kB"}},
		"it has refused":  {func(d *flow.Destination) { d.Queue.Refused = 5880 }, []string{", 5,880 refused"}},
		"it has no queue": {func(d *flow.Destination) { d.Stores = false }, []string{"–"}},
	} {
		d := ofQueue("w.a", c.change)
		var b strings.Builder
		if err := gauge(&d).Render(&b); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q in %s", name, want, &b)
			}
		}
	}
}

// All endpoints of a component share a queue for a signal: what it refuses is counted
// once.
func TestRefusalsAreCountedOnce(t *testing.T) {
	refused := func(component string, n uint64) flow.Destination {
		return ofQueue(component, func(d *flow.Destination) { d.Queue.Refused = n })
	}
	s := situation{destinations: []flow.Destination{refused("w.a", 5), refused("w.a", 5), refused("w.b", 2)}}
	for _, f := range signalFlows(&s, nil) {
		want, text := uint64(0), "none"
		if f.Signal == "traces" {
			want, text = 7, " by full queues"
		}
		var b strings.Builder
		if err := f.refused().Render(&b); err != nil || f.Refused != want || !strings.Contains(b.String(), text) {
			t.Errorf("%s: %d, %s, %v", f.Signal, f.Refused, &b, err)
		}
	}
}

// What follows from destinations, targets and so on has notices of its own.
func TestComponentsAreListedForTheirOwnProblems(t *testing.T) {
	s := situation{components: []graph.ComponentInfo{
		{ID: "a", Health: graph.Health{State: graph.Unhealthy, Message: "down 24 s", Derived: true}},
		{ID: "b", Health: graph.Health{State: graph.Degraded, Message: "1 of 2 targets down", Derived: true}},
		{ID: "c", Health: graph.Health{State: graph.Degraded, Message: "1 of 2 files cannot be read"}},
		{ID: "d", Health: graph.Health{State: graph.Unhealthy, Message: "failed: no such file"}},
	}}
	got := s.problems()
	if len(got) != 2 || got[0].Component != "d" || got[0].Kind != "bad" || got[1].Component != "c" || got[1].Kind != "warn" || !strings.Contains(got[1].Message, "c is degraded: 1 of 2 files cannot be read.") {
		t.Errorf("%+v", got)
	}
}
