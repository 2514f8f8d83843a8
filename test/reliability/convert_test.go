//go:build integration

package reliability

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"collector/pkg/logs/lokitest"
	"collector/pkg/remotewrite/remotewritetest"
	"collector/test/harness"
)

const convertConfig = `otelcol.receiver.otlp "in" {
	http { endpoint = "127.0.0.1:{{.Port}}" }
	output {
		metrics = [otelcol.exporter.prometheus.vm.input]
		logs    = [otelcol.exporter.loki.loki.input]
	}
}
otelcol.exporter.prometheus "vm" { forward_to = [prometheus.remote_write.vm.receiver] }
prometheus.remote_write "vm" {
	endpoint { url = "http://{{.Metrics}}/api/v1/write" }
}
otelcol.exporter.loki "loki" { forward_to = [loki.write.loki.receiver] }
loki.write "loki" {
	endpoint {
		url        = "http://{{.Logs}}/loki/api/v1/push"
		batch_wait = "50ms"
	}
}
`

// converted is a collector that makes samples of OTLP metrics, and entries of OTLP
// logs, before strict destinations that can have outages.
type converted struct {
	*harness.Collector
	port    int
	metrics *remotewritetest.Receiver
	logs    *lokitest.Server
	fronts  []*harness.Front
}

func startConverted(t *testing.T) *converted {
	t.Helper()
	c := &converted{port: harness.FreePort(t), metrics: remotewritetest.New(t, nil), logs: lokitest.New(t)}
	c.fronts = []*harness.Front{harness.StartFront(t, hostOf(t, c.metrics.URL)), harness.StartFront(t, hostOf(t, c.logs.URL()))}
	c.Collector = harness.NewCollector(t, fillTemplate(t, convertConfig, map[string]any{
		"Port": c.port, "Metrics": c.fronts[0].Address, "Logs": c.fronts[1].Address,
	}))
	c.Start(t)
	return c
}

// sender sends numbered requests of a signal.
func (c *converted) sender(signal, body string) func(seq int) error {
	client := &http.Client{Timeout: 10 * time.Second}
	return func(seq int) error {
		text := strings.NewReplacer("@SEQ@", strconv.Itoa(seq), "@NOW@", strconv.FormatInt(time.Now().UnixNano(), 10)).Replace(body)
		resp, err := client.Post(fmt.Sprintf("http://127.0.0.1:%d/v1/%s", c.port, signal), "application/json", strings.NewReader(text))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("answered %s", resp.Status)
		}
		return nil
	}
}

const (
	numberedPoint = `{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeMetrics":[{"metrics":[
{"name":"orders","sum":{"isMonotonic":true,"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"@NOW@","asInt":"@SEQ@"}]}},
{"name":"lost","sum":{"isMonotonic":true,"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"@NOW@","asInt":"@SEQ@"}]}}]}]}]}`
	numberedRecord = `{"resourceLogs":[{"resource":{"attributes":[{"key":"loki.format","value":{"stringValue":"raw"}}]},"scopeLogs":[{"logRecords":[
{"timeUnixNano":"@NOW@","body":{"stringValue":"line @SEQ@"}}]}]}]}`
)

// arrived is how often the items of both signals have arrived, by their numbers.
func (c *converted) arrived() (points, lines map[int]int) {
	points, lines = map[int]int{}, map[int]int{}
	for _, s := range c.metrics.Samples() {
		if strings.Contains(s.Series, "orders_total") {
			points[int(s.Value())]++
		}
	}
	for _, r := range c.logs.Requests() {
		for _, e := range r.Entries {
			if n, err := strconv.Atoi(strings.TrimPrefix(e.Line, "line ")); err == nil {
				lines[n]++
			}
		}
	}
	return points, lines
}

// What was acknowledged of metrics and logs that are converted arrives, through outages
// of the destinations and through kills; what can't become a sample is counted.
func TestConvertedMetricsAndLogsSurviveOutagesAndKills(t *testing.T) {
	t.Parallel()
	c := startConverted(t)
	points := harness.StartSender(t, 5*time.Millisecond, c.sender("metrics", numberedPoint))
	lines := harness.StartSender(t, 5*time.Millisecond, c.sender("logs", numberedRecord))
	pause := harness.For(500*time.Millisecond, 20*time.Second)
	outages := append([]harness.Outage{{}}, harness.Outages()...)
	for i, outage := range outages {
		for _, front := range c.fronts {
			front.Set(t, outage)
		}
		harness.Wait(pause)
		if i%2 == 0 {
			c.Kill()
			c.Start(t)
			harness.Wait(pause / 2)
		}
		for _, front := range c.fronts {
			front.Set(t, harness.Outage{})
		}
	}
	sentPoints, sentLines := points.Stop(), lines.Stop()
	harness.Eventually(t, catchUp, func() error { return c.Drained(t) })
	gotPoints, gotLines := c.arrived()
	for name, signal := range map[string]struct {
		sent []int
		got  map[int]int
	}{"points": {sentPoints, gotPoints}, "lines": {sentLines, gotLines}} {
		if len(signal.sent) < 50 {
			t.Errorf("only %d %s were acknowledged", len(signal.sent), name)
		}
		missing := 0
		for _, n := range signal.sent {
			if signal.got[n] == 0 {
				missing++
			}
		}
		t.Logf("%d %s acknowledged, %d missing", len(signal.sent), name, missing)
		if missing > 0 {
			t.Errorf("%d of %d acknowledged %s are missing", missing, len(signal.sent), name)
		}
	}
	received := c.Metric(t, "otelcol_exporter_prometheus_received_points_total")
	converted := c.Metric(t, "otelcol_exporter_prometheus_converted_points_total")
	dropped := c.Metric(t, "otelcol_exporter_prometheus_dropped_points_total")
	if received == 0 || received != converted+dropped || dropped < received/2 {
		t.Errorf("of %v points, %v were converted and %v dropped", received, converted, dropped)
	}
}
