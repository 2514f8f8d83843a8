package profiles

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"collector/pkg/listen"
)

// pushGzip sends a push of a compressed body and returns the status.
func pushGzip(t *testing.T, url, contentType string, body []byte) (status int, retryAfter string) {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(body)
	w.Close()
	req, err := http.NewRequest(http.MethodPost, url+pushProcedure, &packed)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Retry-After")
}

// What a request unpacks to counts until its profiles are queued.
func TestAPushHoldsItsClaimUntilItIsQueued(t *testing.T) {
	const size = 300 << 10
	s := &sink{}
	r := start(t, receiveConfig(s))
	r.bodies = listen.NewBudget(600 << 10) // which one of them exceeds
	entered, leave := make(chan struct{}, 8), make(chan struct{})
	s.answer = func(context.Context) error {
		entered <- struct{}{}
		<-leave
		return nil
	}
	body := marshal(t, pushOf(series([]string{strings.Repeat("x", size)}, "service_name", "a")))
	var clients sync.WaitGroup
	answers := make(chan int, 8)
	for range 2 {
		clients.Go(func() {
			status, _ := pushGzip(t, r.url, "application/proto", body)
			answers <- status
		})
		<-entered
	}
	if used := r.bodies.Used(); used < 2*size {
		t.Errorf("%d bytes are claimed for two requests of %d", used, size)
	}
	if status, after := pushGzip(t, r.url, "application/proto", body); status != http.StatusServiceUnavailable || after == "" {
		t.Errorf("a third is answered %d, Retry-After %q", status, after)
	}
	if n := value(t, r.reg, "pyroscope_receive_http_dropped_profiles_total", "overloaded"); n != 1 {
		t.Errorf("%v requests are counted as overload", n)
	}
	close(leave)
	clients.Wait()
	for range 2 {
		if status := <-answers; status != http.StatusOK {
			t.Errorf("one of the first is answered %d", status)
		}
	}
	if used := r.bodies.Used(); used != 0 {
		t.Errorf("%d bytes of the budget were not given back", used)
	}
}

// A request in JSON becomes far larger than its text.
func TestAPushInJSONIsClaimedBeforeItIsDecoded(t *testing.T) {
	s := &sink{}
	r := start(t, receiveConfig(s))
	r.bodies = listen.NewBudget(2 << 20)
	body := []byte(`{"series":[` + strings.Repeat(`{},`, 300_000) + `{}]}`)
	if status, _ := pushGzip(t, r.url, "application/json", body); status != http.StatusRequestEntityTooLarge {
		t.Errorf("answered %d", status)
	}
	if n := value(t, r.reg, "pyroscope_receive_http_dropped_profiles_total", "too_large"); n != 1 {
		t.Errorf("%v requests are counted as too large", n)
	}
	if used := r.bodies.Used(); used != 0 {
		t.Errorf("%d bytes of the budget were not given back", used)
	}
}
