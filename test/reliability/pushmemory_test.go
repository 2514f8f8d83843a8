//go:build integration

package reliability

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"collector/test/harness"
)

const (
	elementsMemory  = 256 << 20
	elementsSenders = 8 // of what must be refused, at a time
	elementsRounds  = 4 // requests of each
	elementsGood    = 100
)

// field is a field of protobuf that is a message with these parts.
func field(number protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(parts, nil))
}

// packed compresses data.
func packed(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// emptyPushes are pushes of profiles with millions of empty elements, of a few
// kilobytes each.
func emptyPushes(t *testing.T) (bodies [][]byte) {
	t.Helper()
	label := field(1, field(1, []byte("service_name")), field(2, []byte("a")))
	for _, size := range []int{4 * mib, 16 * mib} {
		empty := func(number protowire.Number) []byte { return bytes.Repeat(field(number), size/2) }
		bodies = append(bodies,
			packed(t, empty(1)),                  // series
			packed(t, field(1, label, empty(1))), // labels
			packed(t, field(1, label, empty(2)))) // samples
	}
	return bodies
}

// TestPushesOfEmptyElementsDoNotStarveGoodSenders sends, to a collector that has
// 256 MiB, pushes of which a decoder makes a hundred times their size, beside
// good profiles.
func TestPushesOfEmptyElementsDoNotStarveGoodSenders(t *testing.T) {
	s := startFourSignals(t, "", 0) // not in parallel: memory is the matter
	group := s.Collector.LimitMemory(t, elementsMemory)
	s.Collector.Start(t)
	pid := s.Collector.Pid()
	peak := watchMemory(t, func() int64 { return rssOf(pid) })
	address := "http://" + harness.Address(s.Profiles)

	bodies := emptyPushes(t)
	var bad sync.WaitGroup
	var answers [600]atomic.Int64
	for i := range elementsSenders {
		bad.Go(func() {
			for n := range elementsRounds {
				r, err := http.NewRequest(http.MethodPost, address+"/push.v1.PusherService/Push", bytes.NewReader(bodies[(i+n)%len(bodies)]))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Content-Type", "application/proto")
				r.Header.Set("Content-Encoding", "gzip")
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Errorf("a bad request is not answered: %v", err)
					return
				}
				resp.Body.Close()
				answers[resp.StatusCode].Add(1)
			}
		})
	}
	send := harness.ProfileSender(address)
	for i := range elementsGood {
		harness.Eventually(t, 30*time.Second, func() error { return send(i) })
	}
	bad.Wait()
	t.Logf("400: %d, 413: %d, 503: %d; at most %d MiB resident", answers[400].Load(), answers[413].Load(), answers[503].Load(), peak()>>20)
	if n := answers[400].Load() + answers[413].Load() + answers[503].Load(); n != elementsSenders*elementsRounds {
		t.Errorf("%d of %d bad requests were refused", n, elementsSenders*elementsRounds)
	}
	if answers[400].Load() == 0 || answers[413].Load() == 0 {
		t.Error("no bad request was refused for good")
	}
	counted := s.Collector.Metric(t, "pyroscope_receive_http_dropped_profiles_total", "reason", "bad_request")
	if counted != float64(answers[400].Load()) {
		t.Errorf("%v requests are counted as bad", counted)
	}
	if kills := group.Kills(t); kills > 0 {
		t.Errorf("the kernel has killed %d processes", kills)
	}
	harness.Eventually(t, 30*time.Second, func() error {
		if n := len(harness.ProfileNumbers(s.Pyroscope)); n != elementsGood {
			return fmt.Errorf("%d of %d profiles have arrived", n, elementsGood)
		}
		return s.Collector.Drained(t)
	})
	s.Collector.Stop(t)
}
