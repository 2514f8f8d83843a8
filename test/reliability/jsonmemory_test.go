//go:build integration

package reliability

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"collector/test/harness"
)

const (
	jsonMemory  = 256 << 20
	jsonSenders = 8 // of what must be refused, at a time
	jsonRounds  = 4 // requests of each
	jsonGood    = 200
)

// packedJSON is begin and as many elements as make 20 MiB, compressed.
func packedJSON(t *testing.T, begin, element string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := fmt.Fprint(w, begin+strings.Repeat(element, (20*mib-len(begin))/len(element))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestEmptyJSONDoesNotStarveGoodSenders sends, to a collector that has 256 MiB,
// JSON of which a decoder makes a hundred times its size, beside good spans.
func TestEmptyJSONDoesNotStarveGoodSenders(t *testing.T) {
	server := harness.StartOTLPServer(t) // not in parallel: memory is the matter
	c, _, address := otlpCollector(t, "otelcol.exporter.otlp", fmt.Sprintf("client {\n\tendpoint = %q\n\ttls { insecure = true }\n}", server.Address))
	group := c.LimitMemory(t, jsonMemory)
	c.Start(t)
	pid := c.Pid()
	peak := watchMemory(t, func() int64 { return rssOf(pid) })

	bodies := [][]byte{
		packedJSON(t, `{"resourceSpans":[`, `{},`),
		packedJSON(t, `{"resourceSpans":[{"resource":{"attributes":[`, `{},`),
		packedJSON(t, `{"resourceSpans":[`, `[`),
		packedJSON(t, `{"unknown":[`, `[],`),
	}
	var bad sync.WaitGroup
	var answers [600]atomic.Int64
	for i := range jsonSenders {
		bad.Go(func() {
			for n := range jsonRounds {
				r, err := http.NewRequest(http.MethodPost, "http://"+address+"/v1/traces", bytes.NewReader(bodies[(i+n)%len(bodies)]))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Content-Type", "application/json")
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
	client := strangers()
	for i := range jsonGood {
		harness.Eventually(t, 30*time.Second, func() error {
			return post(client, "http://"+address+"/v1/traces", "application/x-protobuf", spanRequest(i))
		})
	}
	bad.Wait()
	t.Logf("400: %d, 413: %d, 503: %d; at most %d MiB resident", answers[400].Load(), answers[413].Load(), answers[503].Load(), peak()>>20)
	if n := answers[400].Load() + answers[413].Load() + answers[503].Load(); n != jsonSenders*jsonRounds {
		t.Errorf("%d of %d bad requests were refused", n, jsonSenders*jsonRounds)
	}
	if answers[400].Load() == 0 || answers[413].Load() == 0 {
		t.Error("no bad request was refused for good")
	}
	if counted := c.Metric(t, "otelcol_receiver_refused_requests_total", "reason", "too_large"); counted != float64(answers[413].Load()) {
		t.Errorf("%v requests are counted as too large", counted)
	}
	if kills := group.Kills(t); kills > 0 {
		t.Errorf("the kernel has killed %d processes", kills)
	}
	harness.Eventually(t, 30*time.Second, func() error {
		if n := len(server.SpanNumbers()); n != jsonGood {
			return fmt.Errorf("%d of %d spans have arrived", n, jsonGood)
		}
		return c.Drained(t)
	})
	c.Stop(t)
}
