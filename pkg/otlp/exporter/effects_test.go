package exporter

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

func TestRetriesPauseAsConfigured(t *testing.T) {
	r := Retry{InitialInterval: time.Second, MaxInterval: time.Minute, Multiplier: 3, RandomizationFactor: 0.25}
	want := deliver.Backoff{Min: time.Second, Max: time.Minute, Factor: 3, Jitter: 0.25}
	if got := r.backoff(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAQueueHasItsConfiguredSizeAndAge(t *testing.T) {
	var q SendingQueue
	q.SetToDefault()
	if q.maxBytes() != 0 || q.whenFull() != queue.Refuse {
		t.Errorf("by default: %d bytes, %v when full", q.maxBytes(), q.whenFull())
	}
	q.QueueSize, q.BlockOnOverflow = 5000, true
	if q.maxBytes() != 0 || q.whenFull() != queue.Wait {
		t.Errorf("in requests, blocking: %d bytes, %v when full", q.maxBytes(), q.whenFull())
	}
	q.Sizer = sizerBytes
	if q.maxBytes() != 5000 {
		t.Errorf("in bytes: %d", q.maxBytes())
	}
}

// fakeTransport sends nothing: it holds requests until leave is closed, and fails the
// first so many.
type fakeTransport struct {
	leave chan struct{}
	fails int

	mu              sync.Mutex
	calls, underWay int // guarded by mu
}

// Send implements Transport.
func (f *fakeTransport) Send(context.Context, pipeline.Signal, []queue.Block) (deliver.Result, error) {
	f.count(1)
	defer f.count(-1)
	<-f.leave
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls++; f.calls <= f.fails {
		return deliver.Result{}, &deliver.Error{Err: errors.New("down")}
	}
	return deliver.Result{}, nil
}

func (f *fakeTransport) count(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.underWay += n
}

// URL implements Transport, as do the methods below.
func (f *fakeTransport) URL(pipeline.Signal) string                 { return "http://127.0.0.1:4318" }
func (f *fakeTransport) Off(pipeline.Signal) (argument, why string) { return "", "" }
func (f *fakeTransport) TenantHeaders() map[string]string           { return nil }
func (f *fakeTransport) Close()                                     {}

// exportOver runs an exporter, in a bubble of synctest, and writes so many requests of
// one span.
func exportOver(t *testing.T, to Transport, requests int, change func(*Blocks)) *Exporter {
	t.Helper()
	var b Blocks
	b.Queue.SetToDefault()
	b.Retry.SetToDefault()
	change(&b)
	e := New("test", b, to, component.Options{ID: "otelcol.exporter.test.a", Dir: t.TempDir()}.WithDefaults())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for range requests {
		if err := otlptest.WriteSpan(t.Context(), e, 1); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func TestAsManyRequestsAreSentAtOnceAsThereAreConsumers(t *testing.T) {
	for _, consumers := range []int{1, 3, 10} {
		synctest.Test(t, func(t *testing.T) {
			to := &fakeTransport{leave: make(chan struct{})}
			e := exportOver(t, to, 12, func(b *Blocks) {
				b.Queue.NumConsumers = consumers
				b.Queue.Batch = &QueueBatch{Sizer: sizerItems, MaxSize: 1, FlushTimeout: time.Second} // one span each
			})
			synctest.Wait()
			if to.underWay != consumers {
				t.Errorf("%d requests are sent at once, want %d", to.underWay, consumers)
			}
			close(to.leave)
			synctest.Wait()
			if s := e.Destinations()[0]; s.Delivered != 12 {
				t.Errorf("%d of 12 are delivered", s.Delivered)
			}
		})
	}
}

func TestWhatFailsIsSentAgainUnlessThatIsSwitchedOff(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			to := &fakeTransport{leave: make(chan struct{}), fails: 1}
			close(to.leave)
			e := exportOver(t, to, 1, func(b *Blocks) { b.Retry.Enabled = enabled })
			time.Sleep(time.Minute)
			synctest.Wait()
			s := e.Destinations()[0]
			if again := s.Delivered == 1; again != enabled || (s.Dropped[deliver.ReasonRetryDisabled] == 1) == enabled {
				t.Errorf("with retry_on_failure > enabled = %t: delivered %d, dropped %v", enabled, s.Delivered, s.Dropped)
			}
		})
	}
}
