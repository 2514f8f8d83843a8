package otlp

import (
	"net/http"
	"testing"

	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/wire"
)

func TestReceiverServesThePathsThatAreConfigured(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), func(c *Config) {
		c.HTTP.TracesURLPath, c.HTTP.MetricsURLPath, c.HTTP.LogsURLPath = "/own/t", "/own/m", "/own/l"
		c.HTTP.KeepAlivesEnabled = false
	})
	for path, want := range map[string]int{"/own/t": 200, "/own/m": 200, "/own/l": 200, "/v1/traces": 404, "/v1/metrics": 404, "/v1/logs": 404} {
		answer, err := http.Post("http://"+sv.http+path, wire.TypeProtobuf, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want || !answer.Close {
			t.Errorf("%s: %s, closes %t; want %d and a close without keep-alives", path, answer.Status, answer.Close, want)
		}
	}
}
