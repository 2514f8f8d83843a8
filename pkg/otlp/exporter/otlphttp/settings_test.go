package otlphttp

import (
	"net/http"
	"testing"
	"time"

	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

func TestRequestsAreSentAsConfigured(t *testing.T) {
	for signal, want := range map[pipeline.Signal]string{
		pipeline.SignalTraces:  "http://far.invalid/v1/traces",
		pipeline.SignalMetrics: "http://elsewhere.invalid/own",
	} {
		b := startWeb(t, func(_ int, _ []byte, _ http.ResponseWriter) {})
		e := start(t, "http://far.invalid", t.TempDir(), func(c *Config) {
			c.Client.ProxyURL, c.Client.DisableKeepAlives = b.URL, true
			c.MetricsEndpoint = "http://elsewhere.invalid/own"
		})
		e.Write(t, signal, otlptest.Request(t, signal, 1, 1, 1, 1), nil)
		e.Settled(t)
		b.mu.Lock()
		if r := b.requests[0]; r.URL.String() != want || !r.Close {
			t.Errorf("the proxy is asked for %s, keep-alives %t; want %s without", r.URL, !r.Close, want)
		}
		b.mu.Unlock()
	}
}

func TestAServerThatHangsIsGivenUpAfterTheTimeout(t *testing.T) {
	b := startWeb(t, func(call int, _ []byte, _ http.ResponseWriter) {
		if call == 0 {
			<-t.Context().Done()
		}
	})
	e := start(t, b.URL, t.TempDir(), func(c *Config) { c.Client.Timeout = 200 * time.Millisecond })
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	e.Settled(t)
}
