//go:build integration

package reliability

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/test/harness"
)

// Numbers of the spans that are not of the first sender.
const (
	laterSpans = 1_000_000
	largeSpans = 2_000_000
)

// testShutdown stops the collector while nothing can be delivered and much is
// queued, and while everything can be.
func testShutdown(t *testing.T, engine *harness.Engine) {
	writer := engine.Run(t, harness.Container{Name: "shutdown", Args: []string{"-lines=100000000", "-interval=2ms", "-stay"}})
	config := patient(strings.ReplaceAll(outagesConfig, `"/.*"`, `"/shutdown"`))
	// Without a flush, lines would wait for a batch.
	config = strings.Replace(config, `max_backoff_retries = 2`, `batch_wait = "1m"`, 1)
	r := newRig(t, engine, config)
	noise := harness.StartNoise(t)
	for signal, f := range r.Fronts { // a request in progress must not delay anything, either
		f.Set(t, harness.Outage{BlackHole: signal == "logs" || signal == "traces", Hang: signal == "metrics" || signal == "profiles"})
	}
	r.Start(t)
	spans := harness.StartAttempts(t, 5*time.Millisecond, r.spanSender(t))
	profiles := harness.StartAttempts(t, 20*time.Millisecond, r.profileSender())
	size := 50
	if harness.Soaking() {
		size = 500
	}
	large := r.fillQueue(t, int64(size)<<20)
	harness.Wait(harness.For(5*time.Second, time.Minute))
	sentSpans, sentProfiles := spans.Stop(), profiles.Stop()
	scrapes := r.Target.Scrapes() - 1 // the last one may not be queued yet
	queued := r.Metric(t, "collector_queued_bytes")
	r.Accounts(t)
	code, took := r.Terminate(t, catchUp)
	if limit := noise.Bound(5 * time.Second); code != 0 || took > limit {
		t.Errorf("the collector ended with code %d after %s, %s are allowed", code, took, limit)
	}
	t.Logf("in the outage, with %.0f MiB queued: ended in %s", queued/(1<<20), took)
	if queued < 50<<20 {
		t.Errorf("%.0f bytes were queued", queued)
	}

	for _, f := range r.Fronts {
		f.Set(t, harness.Outage{})
	}
	r.Start(t)
	harness.Eventually(t, catchUp, func() error { return r.onceEach(t, "traces", 0, sentSpans, r.Traces.SpanNumbers()) })
	harness.Eventually(t, catchUp, func() error { return r.onceEach(t, "traces", 0, large, r.Traces.SpanNumbers()) })
	harness.Eventually(t, catchUp, func() error {
		return r.onceEach(t, "profiles", 0, sentProfiles, harness.ProfileNumbers(r.Profile))
	})
	harness.Eventually(t, catchUp, func() error {
		return r.onceEach(t, "metrics", r.failedScrapes(t), numbersTo(scrapes), r.scrapeNumbers(t))
	})
	t.Logf("%d spans, %d large spans, %d profiles and %d scrapes arrived after the restart", len(sentSpans), len(large), len(sentProfiles), scrapes)

	t.Log("with destinations that are well")
	send := r.spanSender(t)
	spans = harness.StartAttempts(t, 5*time.Millisecond, func(seq int) error { return send(laterSpans + seq) })
	harness.Wait(6 * time.Second)
	r.Accounts(t)
	sent := spans.Stop()
	read := r.account(t, "logs").Received
	if code, took = r.Terminate(t, catchUp); code != 0 || took > noise.Bound(2*time.Second) {
		t.Errorf("the collector ended with code %d after %s, %s are allowed", code, took, noise.Bound(2*time.Second))
	}
	// Only what was flushed can arrive now.
	written := engine.Output(t, writer)
	lines := r.logged(t, fmt.Sprintf(`{container_id=%q}`, writer))
	compareLines(t, "stdout", lines, written)
	// A start also counts what it finds in the queue as received, so this is everything
	// that has been read since the first line.
	if float64(len(lines)) < read {
		t.Errorf("%v lines had been read shortly before the end, and %d were flushed", read, len(lines))
	}
	t.Logf("flushed and ended in %s; %d lines and %d spans have arrived", took, len(lines), len(sent))
	arrived := r.Traces.SpanNumbers()
	for i := range sent {
		sent[i] += laterSpans
	}
	if err := r.onceEach(t, "traces", 0, sent, arrived); err != nil {
		t.Error(err)
	}
}

// fillQueue sends spans that do not compress until so many bytes are
// acknowledged, and returns their numbers.
func (r *rig) fillQueue(t *testing.T, size int64) []int {
	t.Helper()
	var numbers []int
	for sent := int64(0); sent < size; {
		number := largeSpans + len(numbers)
		body := largeSpan(t, number, 256<<10)
		resp, err := http.Post("http://"+harness.Address(r.HTTPPort)+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("large span %d: %s: %q", number, resp.Status, text)
		}
		numbers = append(numbers, number)
		sent += int64(len(body))
	}
	return numbers
}

// largeSpan is a request of one span of about size bytes, of random contents.
func largeSpan(t testing.TB, number, size int) []byte {
	t.Helper()
	noise := make([]byte, size/2)
	rand.Read(noise)
	traces := ptrace.NewTraces()
	span := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(fmt.Sprintf("span %d", number))
	span.SetTraceID([16]byte(noise))
	span.SetSpanID([8]byte(noise))
	span.Attributes().PutStr("noise", hex.EncodeToString(noise))
	body, err := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return body
}
