package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"

	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// mostAnswered is how many requests are recognized when they are sent again.
const mostAnswered = 1000

// held is for a processor that remembers its input, so that the same request would give
// something else a second time. Results that an output has not accepted wait here. The
// sender, which got an error, sends the request again, and it is not processed again.
//
// Nothing else is processed while something waits, so that there is never more of it
// than requests at one time.
type held struct {
	mu       sync.Mutex
	waiting  []waiting // guarded by mu
	answered []uint64  // requests by their hashes, the oldest first; guarded by mu
}

// waiting is the result of a request that has not been accepted. It is written on behalf
// of its own client, whichever request causes the write.
type waiting struct {
	made   pipeline.OTLP // shared
	of     uint64        // the request's identity
	client flow.Client
}

// identity distinguishes requests.
func identity(request pipeline.OTLP) (uint64, error) {
	data, err := request.Bytes()
	if err != nil {
		return 0, err
	}
	return xxh3.Hash(data), nil
}

// hold keeps what was made of a request.
func (h *held) hold(w waiting) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, w)
}

// note notes a request of which something waits.
func (h *held) note(request uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.answered) >= mostAnswered {
		h.answered = h.answered[1:]
	}
	h.answered = append(h.answered, request)
}

// write writes what is waiting. done reports that the request was processed before, and
// that what was made of it has been taken, or, with an error, rejected. Rejected results
// of other requests are lost: their senders may never retry.
func (h *held) write(ctx context.Context, request uint64, to func(context.Context, pipeline.OTLP) error, lost func(pipeline.OTLP, error)) (done bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var own []pipeline.OTLP // what is rejected of request
	var errs []error
	for len(h.waiting) > 0 {
		w := h.waiting[0]
		err := to(w.client.In(ctx), w.made)
		if err != nil && !pipeline.IsPermanent(err) {
			for i, made := range own {
				lost(made, errs[i]) // when the request is sent again, this is not known any more
			}
			return false, err
		}
		h.waiting = h.waiting[1:]
		switch {
		case err == nil:
		case w.of == request:
			own, errs = append(own, w.made), append(errs, err)
		default:
			lost(w.made, err)
		}
	}
	i := slices.Index(h.answered, request)
	if i < 0 {
		return len(errs) > 0, errors.Join(errs...)
	}
	h.answered = slices.Delete(h.answered, i, i+1)
	return true, errors.Join(errs...)
}

// take returns what is waiting, and forgets it.
func (h *held) take() []waiting {
	h.mu.Lock()
	defer h.mu.Unlock()
	waiting := h.waiting
	h.waiting, h.answered = nil, nil
	return waiting
}
