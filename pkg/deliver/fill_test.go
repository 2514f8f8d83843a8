package deliver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// big is a block of which some dozens fill the smallest queue.
func big() queue.Block { return queue.Block{Data: make([]byte, 1000), Items: 3} }

func TestWhatAFullQueueRefusesIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		f := &fake{fault: down}
		r := start(t, Options{Metrics: reg, MaxBytes: 1, WhenFull: queue.Refuse, Destinations: []Destination{{ID: "a", Sender: f}}})
		refused := uint64(0)
		for range 100 {
			if err := r.Append(t.Context(), big()); errors.Is(err, pipeline.ErrFull) {
				refused += 3
			} else if err != nil {
				t.Fatal(err)
			}
		}
		s := r.Status()[0]
		if s.Queue.Refused != refused || refused == 0 || s.Queue.FullSince.IsZero() || s.Queue.WhenFull != "refuse" || s.Queue.Size > s.Queue.Capacity || s.QueuedBytes > s.Queue.Size {
			t.Errorf("%d items were refused: %+v", refused, s)
		}
		if s.Received != 300-refused {
			t.Errorf("what was refused is part of %d received", s.Received)
		}
		if got, want := gather(t, reg, "refused"), fmt.Sprintf("refused_items_total{destination=a,signal=logs} %d\n", refused); got != want {
			t.Errorf("%q, not %q", got, want)
		}
		f.setFault(nil)
		time.Sleep(time.Minute)
		if s := r.Status()[0]; !s.Queue.FullSince.IsZero() || s.Queue.Refused != refused {
			t.Errorf("after it is back: %+v", s)
		}
		r.stop()
	})
}

func TestASenderThatGivesUpWaitingIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{MaxBytes: 1, WhenFull: queue.Wait, Destinations: []Destination{{ID: "a", Sender: &fake{fault: down}}}})
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := r.Append(ctx, big())
			cancel()
			if err != nil {
				break
			}
		}
		if q := r.Status()[0].Queue; q.Refused != 3 || q.FullSince.IsZero() || q.Waiting != 0 {
			t.Errorf("%+v", q)
		}
		r.stop()
	})
}

func TestAQueueThatCannotBeWrittenSaysSo(t *testing.T) {
	dir := t.TempDir()
	r := start(t, Options{Dir: dir, Destinations: []Destination{{ID: "a", Sender: &fake{}}}})
	r.append("x")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // where the queue would make its folder again
		t.Fatal(err)
	}
	var err error
	for n := 0; err == nil && n < 20_000; n++ {
		err = r.Append(t.Context(), big())
	}
	if q := r.Status()[0].Queue; err == nil || q.Failing != err.Error() || q.Refused != 3 {
		t.Errorf("%v: %+v", err, q)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	for err != nil {
		err = r.Append(t.Context(), big())
	}
	if q := r.Status()[0].Queue; q.Failing != "" {
		t.Errorf("after it can be written again: %+v", q)
	}
	r.stop()
}

func TestTheDiskIsWatched(t *testing.T) {
	r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: &fake{}}}})
	r.append("x")
	q := r.Status()[0].Queue
	if q.Disk == nil || q.Disk.Free <= 0 || q.Capacity != queue.DefaultMaxBytes {
		t.Fatalf("%+v", q)
	}
	q.Disk.Free = q.Capacity - q.Size
	if q.Short() {
		t.Errorf("there is just enough: %+v", q)
	}
	if q.Disk.Free--; !q.Short() {
		t.Errorf("there is too little: %+v", q)
	}
	r.stop()
}

func TestSinceWhenADestinationIsDown(t *testing.T) {
	rejecting := func([]string) error { return &Error{Err: errors.New("400"), Rejected: true} }
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: down}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f, Backoff: Backoff{Min: time.Second, Max: time.Second}}}})
		if s := r.Status()[0]; !s.DownSince.IsZero() || s.Rejecting {
			t.Errorf("nothing was sent: %+v", s)
		}
		begun := time.Now()
		r.append("x")
		time.Sleep(time.Minute)
		if s := r.Status()[0]; !s.DownSince.Equal(begun) || s.Rejecting {
			t.Errorf("down since %s: %+v", begun, s)
		}
		f.setFault(nil)
		time.Sleep(10 * time.Second)
		if s := r.Status()[0]; !s.DownSince.IsZero() {
			t.Errorf("it is back: %+v", s)
		}
		f.setFault(rejecting)
		time.Sleep(time.Hour)
		begun = time.Now()
		for range 4 {
			r.append("x")
			time.Sleep(time.Second)
		}
		if s := r.Status()[0]; s.DownSince.Sub(begun).Abs() > time.Second || !s.Rejecting || s.Healthy {
			t.Errorf("rejecting since %s: %+v", begun, s)
		}
		f.setFault(down)
		r.append("x")
		time.Sleep(time.Minute)
		if s := r.Status()[0]; s.Rejecting || s.Healthy {
			t.Errorf("it does not even answer: %+v", s)
		}
		r.stop()
	})
}
