package exporter

import (
	"testing"
	"time"

	"collector/pkg/deliver"
	"collector/pkg/queue"
)

func TestRetriesPauseAsConfigured(t *testing.T) {
	r := Retry{InitialInterval: time.Second, MaxInterval: time.Minute, Multiplier: 3, RandomizationFactor: 0.25}
	want := deliver.Backoff{Min: time.Second, Max: time.Minute, Factor: 3, Jitter: 0.25}
	if got := r.backoff(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAQueueIsAsLargeAndAsPatientAsConfigured(t *testing.T) {
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
