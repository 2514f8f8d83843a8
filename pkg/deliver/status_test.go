package deliver

import (
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/queue"
)

func TestHealthFollowsTheDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: down}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f, Backoff: Backoff{Min: 5 * time.Minute, Max: 5 * time.Minute}}}})
		r.append("x")
		time.Sleep(9 * time.Second)
		if s := r.Status()[0]; !s.Healthy || s.LastError != "connection refused" {
			t.Errorf("after 9 s: %+v", s)
		}
		time.Sleep(2 * time.Second)
		if s := r.Status()[0]; s.Healthy {
			t.Errorf("after 11 s: %+v", s)
		}
		f.setFault(nil)
		time.Sleep(7 * time.Minute)
		if s := r.Status()[0]; !s.Healthy || s.LastSuccess.IsZero() {
			t.Errorf("after it is back: %+v", s)
		}
		r.stop()
	})
}

func TestFailuresAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		f := &fake{fault: down}
		r := start(t, Options{
			Logger:       slog.New(slog.NewTextHandler(&log, nil)),
			Destinations: []Destination{{ID: "a", Sender: f, Backoff: Backoff{Min: time.Second, Max: time.Second}}},
		})
		r.append("x")
		time.Sleep(10 * time.Minute)
		r.stop()
		if n := strings.Count(log.String(), "connection refused"); n < 9 || n > 11 {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
	})
}

func TestAttemptsAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: down}
		var seen []string
		r := start(t, Options{Destinations: []Destination{{
			ID: "a", Sender: f, Backoff: Backoff{Min: time.Second, Max: time.Second},
			Observe: func(a Attempt) {
				seen = append(seen, fmt.Sprint(a.Outcome, " ", a.Blocks, " ", a.Items, " ", a.Bytes, " ", a.Retries))
			},
		}}})
		r.append("x", "y")
		time.Sleep(1500 * time.Millisecond)
		f.setFault(nil)
		time.Sleep(2 * time.Second)
		r.stop()
		if diff := cmp.Diff([]string{"retry 1 2 3 0", "retry 1 2 3 1", "ok 1 2 3 2"}, seen); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMetricsBalance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		f, g := &fake{fault: rejectIf(func(s string) bool { return s == "i3" })}, &fake{fault: down}
		r := start(t, Options{Metrics: reg, MaxBytes: 1 << 20, Destinations: []Destination{{ID: "a", Sender: f}, {ID: "b", Sender: g}}})
		r.append(names(0, 5)...)
		r.Drop(2, "unreadable")
		synctest.Wait()
		want := `
delivered_items_total{destination=a,signal=logs} 4
delivered_items_total{destination=b,signal=logs} 0
delivery_attempts_total{destination=a,outcome=ok,signal=logs} 3
delivery_attempts_total{destination=a,outcome=rejected,signal=logs} 4
delivery_attempts_total{destination=a,outcome=retry,signal=logs} 0
delivery_attempts_total{destination=b,outcome=ok,signal=logs} 0
delivery_attempts_total{destination=b,outcome=rejected,signal=logs} 0
delivery_attempts_total{destination=b,outcome=retry,signal=logs} 1
destination_up{destination=a,signal=logs} 1
destination_up{destination=b,signal=logs} 1
dropped_items_total{destination=a,reason=rejected,signal=logs} 1
dropped_items_total{destination=a,reason=unreadable,signal=logs} 2
dropped_items_total{destination=b,reason=unreadable,signal=logs} 2
queue_capacity_bytes{destination=a,signal=logs} 1.048576e+06
queue_capacity_bytes{destination=b,signal=logs} 1.048576e+06
queued_items{destination=a,signal=logs} 0
queued_items{destination=b,signal=logs} 5
received_items_total{destination=a,signal=logs} 7
received_items_total{destination=b,signal=logs} 7
`
		got := gather(t, reg, "received", "delivered", "delivery", "destination", "dropped", "queued_items", "queue_capacity")
		if diff := cmp.Diff(want, "\n"+got); diff != "" {
			t.Error(diff)
		}
		r.stop()
	})
}

// gather renders the metrics whose names, without "collector_", begin with one
// of the prefixes.
func gather(t *testing.T, reg prometheus.Gatherer, prefixes ...string) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range families {
		name := strings.TrimPrefix(f.GetName(), "collector_")
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			fmt.Fprintf(&out, "%s{%s} %v\n", name, strings.Join(labels, ","), m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
	return out.String()
}

func TestWithoutDestinationsItemsAreDroppedAndCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	w, err := New(Options{Signal: "traces", Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(t.Context(), queue.Block{Items: 3}); err != nil {
		t.Fatal(err)
	}
	w.Drop(2, "bad")
	want := `
dropped_items_total{destination=,reason=bad,signal=traces} 2
dropped_items_total{destination=,reason=no_destination,signal=traces} 3
received_items_total{destination=,signal=traces} 5
`
	if diff := cmp.Diff(want, "\n"+gather(t, reg, "received", "dropped")); diff != "" {
		t.Error(diff)
	}
}

// Whoever looks while a writer ends sees each item once.
func TestTheAccountsBalanceWhileAWriterEnds(t *testing.T) {
	for range 30 {
		f := &fake{}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f}}})
		r.append("x")
		for r.Status()[0].Delivered == 0 {
			runtime.Gosched()
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.stop()
		}()
		for looking := true; looking; {
			select {
			case <-ended:
				looking = false
			default:
			}
			if s := r.Status()[0]; s.Delivered != 1 || s.Received != 1 {
				t.Fatalf("%+v", s)
			}
		}
	}
}
