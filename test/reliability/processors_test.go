//go:build integration

package reliability

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"collector/test/harness"
)

const processorsConfig = `otelcol.receiver.otlp "in" {
	http { endpoint = "127.0.0.1:{{.Port}}" }
	output { logs = [otelcol.processor.memory_limiter.m.input] }
}
otelcol.processor.memory_limiter "m" {
	check_interval = "5ms"
	limit          = "{{.Limit}}B"
	spike_limit    = "{{.Spike}}B"
	output { logs = [otelcol.processor.filter.f.input] }
}
otelcol.processor.filter "f" {
	logs { log_record = [` + "`IsMatch(body, \"^drop\")`" + `] }
	output { logs = [otelcol.exporter.otlp.out.input] }
}
otelcol.exporter.otlp "out" {
	client {
		endpoint = "{{.Out}}"
		tls { insecure = true }
	}
}
`

// numbered is how the records are distinguished.
const numbered = "%010d"

// twoRecords is a request of a record "keep N" and a record "drop N", with so many
// attributes that they take a multiple of their bytes in memory, and N 0.
func twoRecords(t *testing.T) []byte {
	t.Helper()
	r := plogotlp.NewExportRequest()
	records := r.Logs().ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, what := range []string{"keep ", "drop "} {
		record := records.AppendEmpty()
		record.Body().SetStr(fmt.Sprintf(what+numbered, 0))
		attributes := record.Attributes()
		attributes.EnsureCapacity(20_000)
		for i := range 20_000 {
			attributes.PutEmpty(strconv.Itoa(i)).SetStr("a value of some length")
		}
	}
	data, err := r.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// recordSender sends such requests. It records an answer that is neither a success nor a
// request to retry.
func recordSender(t *testing.T, port int, unexpected *atomic.Pointer[string]) func(n int) error {
	t.Helper()
	client := &http.Client{Timeout: time.Minute}
	request := twoRecords(t)
	return func(n int) error {
		data := bytes.ReplaceAll(request, fmt.Appendf(nil, numbered, 0), fmt.Appendf(nil, numbered, n))
		resp, err := client.Post(fmt.Sprintf("http://127.0.0.1:%d/v1/logs", port), "application/x-protobuf", bytes.NewReader(data))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		switch resp.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusServiceUnavailable:
			return errors.New(resp.Status)
		}
		unexpected.Store(&resp.Status)
		return errors.New(resp.Status)
	}
}

// keptRecords is how often the records "keep N" have arrived, by their numbers.
func keptRecords(t *testing.T, server *harness.OTLPServer) map[int]int {
	t.Helper()
	arrived := map[int]int{}
	for _, r := range server.Logs() {
		for _, rl := range r.Logs().ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					what, number, _ := strings.Cut(record.Body().Str(), " ")
					n, err := strconv.Atoi(number)
					if err != nil || what != "keep" {
						t.Fatalf("%q has arrived", record.Body().Str())
					}
					arrived[n]++
				}
			}
		}
	}
	return arrived
}

// If more is sent than the memory limit allows, requests are answered with 503; what is
// acknowledged arrives once, or is counted as dropped by the filter after it.
func TestTheMemoryLimiterRejectsAndNothingIsLost(t *testing.T) {
	server, port := harness.StartOTLPServer(t), harness.FreePort(t)
	config := func(limit, spike int) string {
		return fillTemplate(t, processorsConfig, map[string]any{"Port": port, "Limit": limit, "Spike": spike, "Out": server.Address})
	}
	c := harness.NewCollector(t, config(1<<40, 1<<20))
	c.Start(t)
	var unexpected atomic.Pointer[string]
	send := recordSender(t, port, &unexpected)
	if err := send(0); err != nil {
		t.Fatal(err)
	}
	atRest := int(c.Metric(t, "collector_memory_limiter_used_bytes"))
	c.Configure(t, config(atRest+6<<20, 2<<20))
	if status, text := c.Reload(t); status != http.StatusOK {
		t.Fatalf("reload: %d %s", status, text)
	}
	const senders = 8
	var all []*harness.Sender
	for i := range senders {
		all = append(all, harness.StartSender(t, time.Millisecond, func(seq int) error { return send(seq*senders + i) }))
	}
	harness.Eventually(t, time.Minute, func() error {
		if n := c.Metric(t, "otelcol_processor_refused_log_records_total"); n < 20 {
			return fmt.Errorf("%v records are refused", n)
		}
		return nil
	})
	acknowledged := map[int]bool{0: true}
	for i, s := range all {
		for _, seq := range s.Stop() {
			acknowledged[seq*senders+i] = true
		}
	}
	if status := unexpected.Load(); status != nil {
		t.Errorf("a request was answered %s", *status)
	}
	// Without the load, requests pass again.
	harness.Eventually(t, time.Minute, func() error { return send(1 << 30) })
	acknowledged[1<<30] = true
	harness.Eventually(t, catchUp, func() error { return c.Drained(t) })
	arrived := keptRecords(t, server)
	for n := range acknowledged {
		if arrived[n] != 1 {
			t.Errorf("record %d was acknowledged and has arrived %d times", n, arrived[n])
		}
	}
	total := 0
	for _, times := range arrived {
		total += times
	}
	dropped := c.Metric(t, "otelcol_processor_dropped_items_total")
	t.Logf("%d requests were acknowledged, %v records refused, %v dropped", len(acknowledged), c.Metric(t, "otelcol_processor_refused_log_records_total"), dropped)
	if accepted := c.Metric(t, "otelcol_processor_accepted_log_records_total"); int(accepted) != 2*(total-1) || int(dropped) != total {
		t.Errorf("%v records were accepted since the reload, %v dropped since the start, %d have arrived", accepted, dropped, total)
	}
}
