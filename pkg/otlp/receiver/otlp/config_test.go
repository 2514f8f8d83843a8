package otlp

import (
	"testing"

	"collector/pkg/component"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/server"
)

func TestConfigsAreCheckedAndSayWhere(t *testing.T) {
	otlptest.Says(t, "", func(*GRPCServer) {})
	otlptest.Says(t, "", func(c *GRPCServer) { c.Transport, c.Endpoint = "unix", "/run/otlp.sock" })
	otlptest.Says(t, "transport: ", func(c *GRPCServer) { c.Transport = "udp" })
	otlptest.Says(t, "endpoint: ", func(c *GRPCServer) { c.Endpoint = "4317" })
	otlptest.Says(t, "auth: ", func(c *GRPCServer) { c.Auth = clientsOnly(t) })
	otlptest.Says(t, "", func(*HTTPServer) {})
	otlptest.Says(t, "auth: ", func(c *HTTPServer) { c.Auth = clientsOnly(t) })
	otlptest.Says(t, "compression_algorithms: ", func(c *HTTPServer) { c.CompressionAlgorithms = []string{"br"} })
	otlptest.Says(t, "traces_url_path: ", func(c *HTTPServer) { c.TracesURLPath = "" })
	otlptest.Says(t, "traces_url_path: it, ", func(c *HTTPServer) { c.TracesURLPath = c.LogsURLPath })
	otlptest.Says(t, "max_age: ", func(c *server.CORS) { c.MaxAge = -1 })
}

// clientsOnly is a handler that servers can't use.
func clientsOnly(t *testing.T) *auth.Handler {
	t.Helper()
	c, err := auth.NewHeaders(auth.HeadersConfig{}, component.Options{ID: "otelcol.auth.headers.x"})
	if err != nil {
		t.Fatal(err)
	}
	return c.Exports()["handler"].(*auth.Handler)
}
