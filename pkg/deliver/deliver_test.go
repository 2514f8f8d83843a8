package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// fake is a destination: items are words separated by spaces. fault says what
// it answers to a request; nil takes it.
type fake struct {
	fault func(items []string) error
	hang  bool          // until the context ends
	hold  chan struct{} // requests wait until it is closed, if it is set

	mu       sync.Mutex
	taken    []string
	requests []string
	at       []time.Time
	active   int
	peak     int
}

func (f *fake) Send(ctx context.Context, blocks []queue.Block) (Result, error) {
	var all []string
	for _, b := range blocks {
		all = append(all, strings.Fields(string(b.Data))...)
	}
	f.mu.Lock()
	f.requests = append(f.requests, strings.Join(all, " "))
	f.at = append(f.at, time.Now())
	f.active++
	f.peak = max(f.peak, f.active)
	hang, hold, fault := f.hang, f.hold, f.fault
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.active--
		f.mu.Unlock()
	}()
	if hang {
		<-ctx.Done()
		return Result{}, ctx.Err()
	}
	if hold != nil {
		<-hold
	}
	var err error
	if fault != nil {
		err = fault(all)
	}
	var part *partial
	if errors.As(err, &part) {
		err = nil
	}
	if err != nil {
		return Result{}, err
	}
	dropped := 0
	if part != nil {
		dropped = min(part.dropped, len(all))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = append(f.taken, all[dropped:]...)
	return Result{Dropped: dropped}, nil
}

type partial struct{ dropped int }

func (*partial) Error() string { return "partial" }

func (f *fake) Split(b queue.Block) []queue.Block {
	items := bytes.Fields(b.Data)
	if len(items) < 2 {
		return nil
	}
	half := len(items) / 2
	part := func(items [][]byte) queue.Block {
		return queue.Block{Data: bytes.Join(items, []byte(" ")), Tag: b.Tag, Items: len(items), MinTime: b.MinTime, MaxTime: b.MaxTime}
	}
	return []queue.Block{part(items[:half]), part(items[half:])}
}

func (f *fake) setFault(fault func([]string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *fake) setHang(hang bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hang = hang
}

func (f *fake) got() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.taken)
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.requests)
}

// rig is a running writer.
type rig struct {
	*Writer
	t    *testing.T
	stop func()
}

func start(t *testing.T, o Options) *rig {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Signal = "logs"
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		balance(t, w)
	})
	t.Cleanup(stop)
	return &rig{w, t, stop}
}

// balance checks that received = delivered + queued + dropped.
func balance(t *testing.T, w *Writer) {
	t.Helper()
	for _, s := range w.Status() {
		sum := s.Delivered + s.Queued
		for _, n := range s.Dropped {
			sum += n
		}
		if s.Received != sum {
			t.Errorf("destination %s does not balance: %+v", s.ID, s)
		}
	}
}

func (r *rig) append(items ...string) {
	r.t.Helper()
	b := queue.Block{Data: []byte(strings.Join(items, " ")), Items: len(items)}
	if err := r.Append(r.t.Context(), b); err != nil {
		r.t.Fatal(err)
	}
}

func names(from, to int) []string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprint("i", i))
	}
	return s
}

func rejectIf(bad func(string) bool) func([]string) error {
	return func(items []string) error {
		if slices.ContainsFunc(items, bad) {
			return &Error{Err: errors.New("400 bad item"), Rejected: true}
		}
		return nil
	}
}

func down([]string) error { return errors.New("connection refused") }

func TestDeliversInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f}}})
		for i := range 100 {
			r.append(names(i, i+1)...)
		}
		synctest.Wait()
		if diff := cmp.Diff(names(0, 100), f.got()); diff != "" {
			t.Error(diff)
		}
		r.stop()
	})
}

func TestWhatADeadDestinationMissesIsKeptAndDeliveredInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: down}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f, Concurrency: 4}}})
		for i := range 100 {
			r.append(names(i, i+1)...)
		}
		time.Sleep(time.Hour)
		if n := f.count(); n > 160 || f.peak > 1 {
			t.Errorf("%d requests in an hour, %d at a time", n, f.peak)
		}
		if s := r.Status()[0]; s.Healthy || s.Queued != 100 {
			t.Errorf("status %+v", s)
		}
		f.setFault(nil)
		time.Sleep(time.Minute)
		if diff := cmp.Diff(names(0, 100), f.got()); diff != "" {
			t.Error(diff)
		}
		if s := r.Status()[0]; !s.Healthy || s.Delivered != 100 {
			t.Errorf("status %+v", s)
		}
		r.stop()
	})
}

func TestOneRejectedItemCostsThatItemOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: rejectIf(func(s string) bool { return s == "i617" })}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f}}})
		r.append(names(0, 1000)...)
		synctest.Wait()
		want := slices.DeleteFunc(names(0, 1000), func(s string) bool { return s == "i617" })
		if diff := cmp.Diff(want, f.got()); diff != "" {
			t.Error(diff)
		}
		if n := f.count(); n > 40 {
			t.Errorf("it took %d requests", n)
		}
		s := r.Status()[0]
		if diff := cmp.Diff(map[string]uint64{"rejected": 1}, s.Dropped); diff != "" || s.Delivered != 999 {
			t.Errorf("status %+v", s)
		}
		r.stop()
	})
}

func TestStopsInTimeWhileADestinationHangs(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f, good := &fake{hang: true}, &fake{}
		r := start(t, Options{Dir: dir, Destinations: []Destination{{ID: "a", Sender: f}, {ID: "b", Sender: good}}})
		r.append("x")
		synctest.Wait()
		begun := time.Now()
		r.stop()
		if d := time.Since(begun); d > flushTime {
			t.Errorf("it took %v", d)
		}
		if got := good.got(); len(got) != 1 {
			t.Errorf("the other got %v", got)
		}
		if err := r.Append(t.Context(), queue.Block{}); !errors.Is(err, pipeline.ErrClosed) {
			t.Errorf("append after the end: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f, good := &fake{}, &fake{}
		r := start(t, Options{Dir: dir, Destinations: []Destination{{ID: "a", Sender: f}, {ID: "b", Sender: good}}})
		synctest.Wait()
		if diff := cmp.Diff([]string{"x"}, f.got()); diff != "" {
			t.Error(diff)
		}
		if got := good.got(); len(got) != 0 {
			t.Errorf("the other got %v again", got)
		}
		r.stop()
	})
}
