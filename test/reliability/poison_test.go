//go:build integration

package reliability

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"

	"collector/test/harness"
)

// poison is the item of each signal that its destination rejects, and every batch with
// it.
const (
	poisonLine    = "seq=500 stream=stdout "
	poisonSeries  = `7`
	poisonSpan    = 200
	poisonProfile = 40
)

// testPoison gives the destinations one item each that they reject with 400.
func testPoison(t *testing.T, engine *harness.Engine) {
	writer := engine.Run(t, harness.Container{Name: "poison", Args: []string{"-lines=100000000", "-interval=2ms", "-stay"}})
	r := newRig(t, engine, patient(strings.ReplaceAll(outagesConfig, `"/.*"`, `"/poison"`)))
	noise := harness.StartNoise(t)
	r.poison(t)
	r.Start(t)
	spans := harness.StartSender(t, 5*time.Millisecond, r.spanSender(t))
	profiles := harness.StartSender(t, 50*time.Millisecond, r.profileSender())
	deadline := time.Now().Add(harness.For(6*time.Second, 20*time.Minute))
	for time.Now().Before(deadline) {
		harness.Wait(250 * time.Millisecond)
		for _, signal := range r.signals() {
			if age := r.Metric(t, "collector_oldest_queued_seconds", "signal", signal); age > noise.Bound(promptly).Seconds() {
				t.Errorf("%s wait for %.1f s behind the bad item, %s are allowed", signal, age, noise.Bound(promptly))
			}
		}
	}
	for _, signal := range []string{"logs", "traces", "profiles"} {
		harness.Eventually(t, catchUp, func() error {
			if a := r.account(t, signal); a.Dropped != 1 {
				return fmt.Errorf("one bad item cost %v: %+v", a.Dropped, a)
			}
			return nil
		})
	}
	harness.Eventually(t, catchUp, func() error {
		if a, scrapes := r.account(t, "metrics"), r.Target.Scrapes(); a.Dropped == 0 || a.Dropped > float64(scrapes) {
			return fmt.Errorf("%d scrapes with one bad sample each cost %v: %+v", scrapes, a.Dropped, a)
		}
		return nil
	})
	r.refuseAll(t)
	sentSpans, sentProfiles := spans.Stop(), profiles.Stop()
	second := 1
	if err := engine.Client.ContainerStop(context.Background(), writer, container.StopOptions{Timeout: &second}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, catchUp, func() error {
		for _, signal := range []string{"logs", "traces", "profiles"} {
			if a := r.account(t, signal); a.Queued > 0 {
				return fmt.Errorf("%+v", a)
			}
		}
		return nil
	})
	r.checkPoison(t, writer, sentSpans, sentProfiles)
	r.Stop(t)
}

// poison makes each destination reject its bad item.
func (r *rig) poison(t *testing.T) {
	t.Helper()
	refusal := &harness.Outage{Status: http.StatusBadRequest, Body: "the item is bad"}
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(decoder.Close)
	judge := func(signal string, bad []byte, raw func(r *http.Request, body []byte) ([]byte, error)) {
		r.Fronts[signal].Judge(func(request *http.Request, body []byte) *harness.Outage {
			contents, err := raw(request, body)
			if err != nil {
				t.Errorf("a request of %s cannot be read: %v", signal, err)
				return nil
			}
			if bytes.Contains(contents, bad) {
				return refusal
			}
			return nil
		})
	}
	judge("logs", []byte(poisonLine), func(_ *http.Request, body []byte) ([]byte, error) { return snappy.Decode(nil, body) })
	judge("metrics", []byte("\x0a\x05index\x12\x01"+poisonSeries), func(request *http.Request, body []byte) ([]byte, error) {
		if request.Header.Get("Content-Encoding") == "zstd" {
			return decoder.DecodeAll(body, nil)
		}
		return snappy.Decode(nil, body)
	})
	judge("traces", fmt.Appendf(nil, "\x2a\x08span %d", poisonSpan), func(_ *http.Request, body []byte) ([]byte, error) {
		unzip, err := gzip.NewReader(bytes.NewReader(body[5:])) // of one gRPC message
		if err != nil {
			return nil, err
		}
		raw, err := io.ReadAll(unzip)
		return raw, err
	})
	judge("profiles", fmt.Appendf(nil, "until=%d&", 1700000001+poisonProfile), func(request *http.Request, _ []byte) ([]byte, error) {
		return []byte(request.URL.RawQuery + "&"), nil
	})
}

// refuseAll makes all destinations answer 400 to everything for a while. The losses are
// counted, and slow: most data is kept until the destinations recover.
func (r *rig) refuseAll(t *testing.T) {
	t.Helper()
	for _, f := range r.Fronts {
		// No connection is cut, so that the collector gets each answer.
		f.Set(t, harness.Outage{Status: http.StatusBadRequest})
	}
	harness.Wait(3 * time.Second)
	r.Accounts(t)
	for _, f := range r.Fronts {
		f.Set(t, harness.Outage{})
	}
}

// checkPoison compares what has arrived with what was made: what was dropped
// is missing, and nothing else is.
func (r *rig) checkPoison(t *testing.T, writer string, sentSpans, sentProfiles []int) {
	t.Helper()
	written := make(map[string]bool)
	for _, line := range r.Engine.Output(t, writer) {
		written[line.Text] = true
	}
	harness.Eventually(t, catchUp, func() error { // the last ones may be on their way from the Engine
		return r.checkMissing(t, "logs", r.missingLines(t, writer, written))
	})
	for signal, missing := range map[string]int{
		"traces":   r.countMissing(t, "traces", sentSpans, r.Traces.SpanNumbers(), poisonSpan),
		"profiles": r.countMissing(t, "profiles", sentProfiles, harness.ProfileNumbers(r.Profile), poisonProfile),
	} {
		if err := r.checkMissing(t, signal, missing); err != nil {
			t.Error(err)
		}
	}

	// Scraping goes on; each scrape loses one sample.
	bad := r.Metrics.Export(t, fmt.Sprintf(`workload_value{index=%q}`, poisonSeries))
	if len(bad) > 0 {
		t.Errorf("the bad series is stored: %v", bad)
	}
	t.Logf("metrics: %+v", r.account(t, "metrics"))
}

// missingLines counts the lines that were written and are not stored; the bad one
// has to be among them.
func (r *rig) missingLines(t *testing.T, writer string, written map[string]bool) (missing int) {
	t.Helper()
	arrived := make(map[string]int)
	for _, entry := range r.logged(t, fmt.Sprintf(`{container_id=%q}`, writer)) {
		arrived[entry.Line]++
	}
	for line := range written {
		switch n := arrived[line]; {
		case n > 1:
			t.Fatalf("%.40q is stored %d times", line, n)
		case n == 0:
			missing++
		case strings.HasPrefix(line, poisonLine):
			t.Fatalf("the bad line is stored: %.40q", line)
		}
	}
	return missing
}

// countMissing counts what was acknowledged and has not arrived; the bad item
// has to be among that.
func (r *rig) countMissing(t *testing.T, signal string, sent []int, arrived map[int]int, bad int) int {
	t.Helper()
	may := r.mayRepeat(t, signal)
	if !slices.Contains(sent, bad) || arrived[bad] > 0 {
		t.Errorf("item %d was to be sent and refused; it was sent: %v, and it arrived %d times", bad, slices.Contains(sent, bad), arrived[bad])
	}
	missing := 0
	for _, seq := range sent {
		if arrived[seq] == 0 {
			missing++
		}
		if arrived[seq] > 1+may[fmt.Sprint(seq)] {
			t.Errorf("item %d has arrived %d times", seq, arrived[seq])
		}
	}
	return missing
}

// checkMissing compares what is missing with what was dropped and counted.
func (r *rig) checkMissing(t *testing.T, signal string, missing int) error {
	t.Helper()
	a := r.account(t, signal)
	if float64(missing) != a.Dropped {
		return fmt.Errorf("%d %s are missing, and %v are counted as dropped", missing, signal, a.Dropped)
	}
	t.Logf("%s: %d are missing: %+v", signal, missing, a)
	return nil
}
