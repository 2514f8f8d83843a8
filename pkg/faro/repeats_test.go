package faro

import (
	"context"
	"encoding/binary"
	"net/http"
	"strings"
	"sync"
	"testing"

	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

// watched is a context that says when somebody waits for its end.
type watched struct {
	context.Context
	waits chan struct{}
}

func (c watched) Done() <-chan struct{} {
	c.waits <- struct{}{}
	return c.Context.Done()
}

func numbered(n int) (id requestID) {
	binary.BigEndian.PutUint64(id[:], uint64(n+1))
	return id
}

// begun begins a request that nothing holds up.
func begun(t *testing.T, r *repeats, id requestID) (repeated bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	repeated, err := r.begin(ctx, id)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	return repeated
}

func TestARequestThatComesAgainIsStoredOnce(t *testing.T) {
	to := &logstest.Sink{}
	s := start(t, settings([]pipeline.LogsSink{to}, nil, nil))
	another := strings.Replace(oneLog, `"m"`, `"n"`, 1)
	for _, c := range []struct {
		name, body, key  string
		stored, repeated int // in total
	}{
		{"the first", oneLog, "a", 1, 0},
		{"the same again", oneLog, "a", 1, 1},
		{"and again", oneLog, "a", 1, 2},
		{"another key", oneLog, "b", 2, 2},
		{"another payload with the same key", another, "a", 3, 2},
		{"without a key", oneLog, "", 4, 2},
		{"without a key again", oneLog, "", 5, 2},
	} {
		if resp, text := s.post(t, c.body, idempotencyHeader, c.key); resp.StatusCode != http.StatusAccepted || text != "ok" {
			t.Errorf("%s: %s %q", c.name, resp.Status, text)
		}
		if n := len(to.All()); n != c.stored {
			t.Errorf("%s: %d entries are stored, want %d", c.name, n, c.stored)
		}
		s.counts(t, "repeated_requests_total", "", float64(c.repeated))
	}
	s.counts(t, "logs_total", "", 5)
}

func TestARequestThatWasRefusedMayComeAgain(t *testing.T) {
	to := &logstest.Sink{Fail: func(call int) error {
		if call == 1 {
			return pipeline.ErrFull
		}
		return nil
	}}
	s := start(t, settings([]pipeline.LogsSink{to}, nil, nil))
	for i, want := range []int{http.StatusServiceUnavailable, http.StatusAccepted, http.StatusAccepted} {
		if resp, text := s.post(t, oneLog, idempotencyHeader, "a"); resp.StatusCode != want {
			t.Errorf("request %d: %s %q, want %d", i, resp.Status, text, want)
		}
	}
	if n := len(to.All()); n != 1 {
		t.Errorf("%d entries are stored, want 1", n)
	}
	s.counts(t, "repeated_requests_total", "", 1)
}

// The client gives up while its entry is being stored, and sends it again.
func TestALostAnswerStoresNothingTwice(t *testing.T) {
	ctx, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	to := &logstest.Sink{Fail: func(int) error { giveUp(); return nil }}
	s := start(t, settings([]pipeline.LogsSink{to}, nil, nil))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+collectPath, strings.NewReader(oneLog))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(idempotencyHeader, "a")
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
	}
	if resp, text := s.post(t, oneLog, idempotencyHeader, "a"); resp.StatusCode != http.StatusAccepted {
		t.Errorf("sent again: %s %q", resp.Status, text)
	}
	if n := len(to.All()); n != 1 {
		t.Errorf("%d entries are stored, want 1", n)
	}
}

func TestRequestsThatComeAtOnceAreStoredOnce(t *testing.T) {
	const requests = 20
	to := &logstest.Sink{}
	s := start(t, settings([]pipeline.LogsSink{to}, nil, nil))
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			r, err := http.NewRequest(http.MethodPost, s.url+collectPath, strings.NewReader(oneLog))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set(idempotencyHeader, "a")
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusAccepted {
				t.Error(resp.Status)
			}
		})
	}
	all.Wait()
	if n := len(to.All()); n != 1 {
		t.Errorf("%d entries are stored, want 1", n)
	}
	s.counts(t, "repeated_requests_total", "", requests-1)
}

func TestARepeatedRequestWaitsForTheResultOfTheFirst(t *testing.T) {
	for _, accepted := range []bool{true, false} {
		r, id := newRepeats(), numbered(0)
		begun(t, r, id)
		ctx, cancel := context.WithCancel(context.Background())
		waits, result := make(chan struct{}), make(chan bool)
		go func() {
			repeated, err := r.begin(watched{ctx, waits}, id)
			if err != nil {
				t.Errorf("begin: %v", err)
			}
			result <- repeated
		}()
		select {
		case <-waits:
		case <-result:
			t.Fatal("it did not wait")
		}
		r.end(id, accepted)
		if repeated := <-result; repeated != accepted {
			t.Errorf("the first was accepted: %t; the second is a repetition: %t", accepted, repeated)
		}
		if len(r.running) != map[bool]int{true: 0, false: 1}[accepted] {
			t.Errorf("%d requests are in progress", len(r.running))
		}
		cancel()
	}
}

func TestARepeatedRequestWaitsOnlyAsLongAsItsClient(t *testing.T) {
	r, id := newRepeats(), numbered(0)
	begun(t, r, id)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if repeated, err := r.begin(ctx, id); err != context.Canceled || repeated {
		t.Errorf("repeated is %t, the error %v", repeated, err)
	}
	r.end(id, true)
}

func TestAcceptedRequestsAreForgotten(t *testing.T) {
	r := newRepeats()
	for i := range maxAccepted + 1 {
		if begun(t, r, numbered(i)) {
			t.Fatalf("request %d has not been there", i)
		}
		r.end(numbered(i), true)
	}
	if len(r.accepted) != maxAccepted || len(r.order) != maxAccepted || len(r.running) != 0 {
		t.Errorf("%d and %d are kept, %d are in progress", len(r.accepted), len(r.order), len(r.running))
	}
	if !begun(t, r, numbered(1)) || !begun(t, r, numbered(maxAccepted)) {
		t.Error("one of the last requests is forgotten")
	}
	if begun(t, r, numbered(0)) {
		t.Error("the first request is kept")
	}
	r.end(numbered(0), false)
	for i := range r.order {
		r.order[i].at = r.order[i].at.Add(-2 * acceptedFor)
	}
	if begun(t, r, numbered(1)) || len(r.accepted) != 0 || len(r.order) != 0 {
		t.Errorf("%d and %d are kept after they have expired", len(r.accepted), len(r.order))
	}
}
