//go:build integration

package reliability

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/test/harness"
)

// mostViewers is how many may watch live at once.
const mostViewers = 20

// viewer watches all that flows, until the test ends.
func viewer(t *testing.T, c *harness.Collector) io.Reader {
	t.Helper()
	resp, err := http.Get(c.URL + "/api/v1/live/events")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp.Body
}

// emptySpans is a request of n spans without anything in them.
func emptySpans(n int) []byte {
	message := func(field protowire.Number, content []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), content)
	}
	return message(1, message(2, bytes.Repeat(message(2, nil), n)))
}

// postSpans sends a request of spans, which must be accepted.
func postSpans(t *testing.T, port int, request []byte) {
	t.Helper()
	resp, err := http.Post("http://"+harness.Address(port)+"/v1/traces", "application/x-protobuf", bytes.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, text)
	}
}

// TestViewersAndSlowReadersCostSendersNothing gives the collector 256 MiB, as many
// live viewers as may watch, requests of 20,000 empty spans, and 800
// connections of 16 clients that ask for what takes memory and read nothing. Every
// good request is taken, and every scrape answered.
func TestViewersAndSlowReadersCostSendersNothing(t *testing.T) {
	port := harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		otelcol.receiver.otlp "x" {
			http { endpoint = "127.0.0.1:%d" }
			output { traces = [explore.sink.x.input] }
		}
		explore.sink "x" { }
	`, port))
	group := c.LimitMemory(t, 256<<20)
	c.Start(t, "--explore.memory=8MiB")
	address := strings.TrimPrefix(c.URL, "http://")
	for range mostViewers {
		go io.Copy(io.Discard, viewer(t, c))
	}
	paths := []string{"/-/support", "/metrics", "/", "/configuration", "/api/v1/components?per_page=10000", "/assets/style.css", "/debug/pprof/goroutine?debug=2", "/nothing/events"}
	for i := range 800 {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%16))}}
		conn, err := dialer.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		// As many as fit into a connection: one answer may fit into the kernel's buffers.
		request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAccept-Encoding: gzip\r\n\r\n", paths[i%len(paths)], address)
		if _, err := io.WriteString(conn, strings.Repeat(request, 200)); err != nil {
			t.Fatal(err)
		}
	}
	const spans, requests = 20_000, 200
	for range requests {
		postSpans(t, port, emptySpans(spans))
	}
	if resp, err := http.Get(c.URL + "/debug/pprof/trace?seconds=3600"); err != nil || resp.StatusCode == http.StatusOK {
		t.Errorf("a trace of an hour: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if n := c.Metric(t, "otelcol_receiver_accepted_spans_total"); n != spans*requests {
		t.Errorf("%v spans were accepted, of %d", n, spans*requests)
	}
	if kills := group.Kills(t); kills > 0 {
		t.Errorf("the kernel has killed %d processes", kills)
	}
	harness.Eventually(t, 30*time.Second, func() error { // after a slow reader was cut off
		resp, err := http.Get(c.URL + "/-/support")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", resp.Status)
		}
		return err
	})
	c.Stop(t)
}

// TestOnlyWhatViewersSeeIsDecoded sends requests of 500,000 empty
// spans, with nobody watching and with as many live viewers as may watch, some of
// whom read nothing: what they add over all requests is less than decoding one of
// them costs. A request that is shown is decoded once for all. What passed is shown
// to each, or counted as skipped.
func TestOnlyWhatViewersSeeIsDecoded(t *testing.T) {
	t.Parallel()
	port := harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		otelcol.receiver.otlp "x" {
			http { endpoint = "127.0.0.1:%d" }
			output { traces = [explore.sink.x.input] }
		}
		explore.sink "x" { }
	`, port))
	c.Start(t, "--explore.memory=0")
	allocated := func(f func()) float64 {
		before := c.Metric(t, "go_memstats_alloc_bytes_total")
		f()
		return (c.Metric(t, "go_memstats_alloc_bytes_total") - before) / mib
	}
	const huge, requests, small, silent = 500_000, 20, 5_000, 5
	send := func() {
		for range requests {
			postSpans(t, port, emptySpans(huge))
		}
	}
	send() // one-time allocations are done
	without := allocated(send)
	seen := make(chan error, mostViewers)
	for i := range mostViewers {
		if events := viewer(t, c); i >= silent {
			go func() { seen <- seesAll(events, requests*huge+small) }()
		}
	}
	with, decoding := allocated(send), decodingCosts(t, emptySpans(huge))
	t.Logf("%d requests: %.1f MiB allocated without viewers, %.1f with; decoding one takes %.1f", requests, without, with, decoding)
	if with > without+decoding {
		t.Errorf("with viewers, %d requests take %.1f MiB, without %.1f; decoding one takes %.1f", requests, with, without, decoding)
	}

	request := spanBatch(t, small)
	showing, once := allocated(func() {
		postSpans(t, port, request)
		for range mostViewers - silent {
			if err := <-seen; err != nil {
				t.Error(err)
			}
		}
	}), decodingCosts(t, request)
	t.Logf("a request that is shown takes %.1f MiB, decoding it %.1f", showing, once)
	if showing > mostViewers/2*once {
		t.Errorf("to show a request to %d viewers takes %.1f MiB, decoding it %.1f", mostViewers, showing, once)
	}
	if n := c.Metric(t, "otelcol_receiver_accepted_spans_total"); n != 3*requests*huge+small {
		t.Errorf("%v spans were accepted", n)
	}
	c.Stop(t)
}

// seesAll reads what a viewer is shown until that and the skipped items add up to total.
func seesAll(events io.Reader, total int) error {
	shown := 0
	for lines := bufio.NewScanner(events); lines.Scan(); {
		var line struct {
			Signal  string
			Skipped int
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		if line.Signal != "" {
			shown++
		} else if sum := shown + line.Skipped; sum == total {
			if shown == 0 {
				return errors.New("a viewer was shown nothing")
			}
			return nil
		} else if sum > total {
			return fmt.Errorf("a viewer was shown %d and told of %d skipped, of %d", shown, line.Skipped, total)
		}
	}
	return fmt.Errorf("the stream ended; %d were shown", shown)
}

// spanBatch is a request of n spans as a service sends them.
func spanBatch(t *testing.T, n int) []byte {
	t.Helper()
	all := ptrace.NewTraces()
	spans := all.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		span := spans.AppendEmpty()
		span.SetName(fmt.Sprint("GET /items/", i))
		span.SetTraceID(pcommon.TraceID{1, byte(i)})
		span.Attributes().PutStr("http.request.method", "GET")
	}
	data, err := ptraceotlp.NewExportRequestFromTraces(all).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// decodingCosts is how many MiB it takes to decode a request of spans, at least.
func decodingCosts(t *testing.T, data []byte) float64 {
	t.Helper()
	least := math.Inf(1)
	for range 3 { // other tests may allocate at the same time
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := ptraceotlp.NewExportRequest().UnmarshalProto(data); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		least = min(least, float64(after.TotalAlloc-before.TotalAlloc)/mib)
	}
	return least
}
