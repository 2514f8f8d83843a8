package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/cause"
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

// late is a sender whose requests take time before they are answered.
type late struct {
	*fake
	mu   sync.Mutex
	took time.Duration
	err  error
}

func (l *late) Send(ctx context.Context, blocks []queue.Block) (Result, error) {
	l.mu.Lock()
	took, err := l.took, l.err
	l.mu.Unlock()
	if !sleep(ctx, took) {
		return Result{}, ctx.Err()
	}
	if err != nil {
		return Result{}, err
	}
	return l.fake.Send(ctx, blocks)
}

func (l *late) set(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took, l.err = took, err
}

func TestADestinationThatHangsIsDownBeforeItsRequestTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &late{fake: &fake{}, took: time.Minute, err: errors.New("the request timed out")}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: l, Backoff: Backoff{Min: time.Second, Max: time.Second}}}})
		time.Sleep(time.Hour)
		if s := r.Status()[0]; !s.Healthy || !s.Unanswered.IsZero() {
			t.Errorf("nothing was sent, and yet: %+v", s)
		}
		begun := time.Now()
		r.append("x")
		for _, step := range []struct {
			at         time.Duration
			unanswered bool
			healthy    bool
			why        string
		}{
			{4 * time.Second, false, true, ""},
			{6 * time.Second, true, true, ""},
			{14 * time.Second, true, true, ""},
			{16 * time.Second, true, false, "no answer for 16s; the request is still in progress"},
			{59 * time.Second, true, false, "no answer for 59s; the request is still in progress"},
			{60*time.Second + 500*time.Millisecond, false, false, "the request timed out"},
			{80 * time.Second, true, false, "the request timed out"}, // and the next hangs
		} {
			time.Sleep(time.Until(begun.Add(step.at)))
			s := r.Status()[0]
			if s.Healthy != step.healthy || s.Unanswered.IsZero() == step.unanswered || s.LastError != step.why {
				t.Errorf("after %s: %+v", step.at, s)
			}
		}
		l.set(0, nil)
		time.Sleep(2 * time.Minute)
		if s := r.Status()[0]; !s.Healthy || !s.Unanswered.IsZero() || s.Delivered != 1 {
			t.Errorf("after it is back: %+v", s)
		}
		r.stop()
	})
}

func TestADestinationFailsFromTheStartOfItsFirstFailedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &late{fake: &fake{}, took: 9 * time.Second, err: errors.New("the request timed out")}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: l, Backoff: Backoff{Min: time.Hour, Max: time.Hour}}}})
		r.append("x")
		time.Sleep(9500 * time.Millisecond)
		if s := r.Status()[0]; !s.Healthy || s.LastError == "" {
			t.Errorf("after 9.5 s: %+v", s)
		}
		time.Sleep(time.Second)
		if s := r.Status()[0]; s.Healthy {
			t.Errorf("after 10.5 s: %+v", s)
		}
		r.stop()
	})
}

// Of several requests at once, one may take long while others are answered.
func TestADestinationThatAnswersOthersIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, err := range []error{nil, &Error{Err: errors.New("400"), Rejected: true}} {
			l := &late{fake: &fake{}, took: time.Hour}
			r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: l, Concurrency: 2}}})
			r.append("x")
			synctest.Wait()
			l.set(0, err)
			time.Sleep(time.Minute)
			if s := r.Status()[0]; s.Healthy {
				t.Errorf("one request hangs: %+v", s)
			}
			r.append("y")
			time.Sleep(time.Second)
			if s := r.Status()[0]; !s.Healthy || !s.Unanswered.IsZero() {
				t.Errorf("another was answered with %v: %+v", err, s)
			}
			r.stop()
		}
	})
}

func TestADestinationThatRejectsEverythingIsDown(t *testing.T) {
	all := func([]string) error { return &Error{Err: errors.New("400 no such tenant"), Rejected: true} }
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: all}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f}}})
		for i, want := range []bool{true, true, false, false} { // 4 requests of 4
			r.append(fmt.Sprint(i))
			time.Sleep(time.Second)
			if s := r.Status()[0]; s.Healthy != want || s.LastError != "400 no such tenant" {
				t.Errorf("after %d refusals: %+v", i+1, s)
			}
		}
		f.setFault(nil)
		r.append("good")
		time.Sleep(time.Second)
		if s := r.Status()[0]; !s.Healthy || s.Delivered != 1 {
			t.Errorf("after a success: %+v", s)
		}
		f.setFault(rejectIf(func(s string) bool { return s == "bad" }))
		for range 5 {
			r.append("bad", "good")
			time.Sleep(time.Second)
		}
		if s := r.Status()[0]; !s.Healthy || s.Dropped["rejected"] != 9 {
			t.Errorf("it takes half of what comes: %+v", s)
		}
		r.stop()
	})
}

// refusing is a sender whose destination acknowledges requests and drops what
// they hold.
type refusing struct {
	*fake
	res Result
}

func (r *refusing) Send(ctx context.Context, blocks []queue.Block) (Result, error) {
	_, err := r.fake.Send(ctx, blocks)
	res := r.res
	res.Dropped = itemsOf(blocks)
	return res, err
}

func TestADestinationThatAcknowledgesAndDropsEverythingIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &refusing{fake: &fake{}, res: Result{Message: "limit reached"}}
		own := &refusing{fake: &fake{}, res: Result{Reason: "relabelled", Unasked: true}}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: s}, {ID: "b", Sender: own}}})
		for i := range 4 {
			r.append(fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		all := r.Status()
		if all[0].Healthy || all[0].LastError != "all 1 items rejected: limit reached" {
			t.Errorf("%+v", all[0])
		}
		if !all[1].Healthy || all[1].LastError != "" {
			t.Errorf("the rules dropped everything, nobody refused: %+v", all[1])
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

// Without an endpoint block, nobody can set its URL.
func TestTheFixOfNoDestinationIsOneThatCanBeMade(t *testing.T) {
	for off, want := range map[string]string{cause.NoEndpointBlock: "Add an endpoint block, and reload.", "Its endpoint is switched off: it has no host.": "Set the URL, and reload."} {
		if s := Nowhere("logs", off); !strings.HasPrefix(s.Cause.Fix, want) || s.Cause.Text != off {
			t.Errorf("%q: %+v", off, s.Cause)
		}
	}
}
