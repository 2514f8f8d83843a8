package otlp

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"collector/pkg/cause"
	"collector/pkg/cause/causetest"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// What a real server, or none, answers to a request is explained in words.
func TestCausesOfFailedExports(t *testing.T) {
	answering := func(err error) string {
		return startBackend(t, &backend{answer: func(int, pipeline.Signal, []byte) (int64, error) { return 0, err }}, "127.0.0.1:0").address
	}
	bare := grpc.NewServer()
	t.Cleanup(bare.Stop)
	year := time.Now().AddDate(1, 0, 0)
	secure := causetest.StartTLS(t, "127.0.0.1", year, func(c *tls.Config) { c.NextProtos = []string{"h2"} })
	web := causetest.StartTLS(t, "127.0.0.1", year, nil)
	withTLS := func(c *Config) { c.Client.TLS.Insecure = false }
	hasty := func(c *Config) { c.Timeout = 500 * time.Millisecond }
	for name, c := range map[string]struct {
		address string
		change  func(*Config)
		kind    cause.Kind
		text    string // $host is the address
		fix     string
	}{
		"nothing listens":      {causetest.Refusing(t), nil, cause.Refused, "Nothing listens at $host.", "Start the backend, or fix the host and the port in the endpoint."},
		"no such name":         {"nowhere.invalid:4317", nil, cause.UnknownHost, "The name nowhere.invalid does not resolve.", "Fix the host in the endpoint"},
		"no answer":            {causetest.Mute(t), hasty, cause.NoAnswer, "$host accepts the connection but does not answer.", "load"},
		"TLS to plain text":    {answering(nil), withTLS, cause.PlainHTTP, "$host speaks plain text, but the collector uses TLS.", "Set client > tls > insecure = true."},
		"HTTP":                 {causetest.HTTP(t, 200, "text/plain", ""), nil, cause.WrongProtocol, "$host speaks HTTP, not gRPC.", "usually 4317, or otelcol.exporter.otlphttp."},
		"an unknown authority": {secure.Address, withTLS, cause.Certificate, "The certificate of $host is not accepted: it is signed by an authority that the collector does not know.", "ca_file"},
		"HTTPS":                {web.Address, withTLS, cause.WrongProtocol, "$host speaks HTTP, not gRPC.", "usually 4317"},
		"no such service":      {causetest.Serving(t, bare), nil, cause.WrongProtocol, "$host has no OTLP service for this signal", "usually 4317"},
		"no credentials":       {answering(status.Error(codes.Unauthenticated, "who are you?")), nil, cause.Unauthorized, "$host rejects the credentials, or requires some (Unauthenticated).", "client > auth"},
		"no tenant":            {answering(status.Error(codes.Unauthenticated, "no org id")), nil, cause.NoTenant, "$host requires a tenant", "in client."},
		"no rights":            {answering(status.Error(codes.PermissionDenied, "read only")), nil, cause.Forbidden, "$host does not allow this sender to write (PermissionDenied): “read only”.", "client > auth"},
		"a limit":              {answering(status.Error(codes.ResourceExhausted, "slow down")), nil, cause.RateLimited, "$host limits the rate: “slow down”.", "or send less."},
		"an overload":          {answering(status.Error(codes.Unavailable, "busy")), nil, cause.Unavailable, "$host is unavailable: “busy”.", "own log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, c.address, t.TempDir(), c.change)
			e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
			listentest.Eventually(t, "a failure", func() bool { return e.Delivery(t).LastError != "" })
			s := e.Delivery(t)
			text := strings.ReplaceAll(c.text, "$host", c.address)
			if s.Cause.Kind != c.kind || !strings.HasPrefix(s.Cause.Text, text) || !strings.Contains(s.Cause.Fix, c.fix) || !strings.HasSuffix(s.Cause.Fix, "waits on disk.") {
				t.Errorf("%s\n got %+v\nwant %s | %s | %s", s.LastError, s.Cause, c.kind, text, c.fix)
			}
		})
	}
}

func TestTheCauseOfADropSaysSo(t *testing.T) {
	b := startBackend(t, &backend{answer: func(int, pipeline.Signal, []byte) (int64, error) {
		return 0, status.Error(codes.InvalidArgument, "span is too old")
	}}, "127.0.0.1:0")
	e := start(t, b.address, t.TempDir(), nil)
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	if s := e.Settled(t); s.Cause.Kind != cause.TooOld || !strings.HasSuffix(s.Cause.Fix, "this data is dropped.") {
		t.Errorf("%s: %+v", s.LastError, s.Cause)
	}
}
