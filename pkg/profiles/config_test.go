package profiles

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/httpclient"
	"collector/pkg/httpserver"
	"collector/pkg/tlsconfig/tlstest"
)

func TestDefaultsAreAlloys(t *testing.T) {
	var receive ReceiveConfig
	receive.SetToDefault()
	want := ReceiveConfig{
		HTTP:                    httpserver.Config{ListenPort: 8080, ConnLimit: 16384, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute},
		GracefulShutdownTimeout: 30 * time.Second,
	}
	if diff := cmp.Diff(want, receive); diff != "" {
		t.Error(diff)
	}
	var endpoint EndpointConfig
	endpoint.SetToDefault()
	wantEndpoint := EndpointConfig{
		RemoteTimeout: 10 * time.Second, MinBackoff: 500 * time.Millisecond, MaxBackoff: 5 * time.Minute, MaxBackoffRetries: 10,
		HTTP: httpclient.Config{FollowRedirects: true, EnableHTTP2: true},
	}
	if diff := cmp.Diff(wantEndpoint, endpoint); diff != "" {
		t.Error(diff)
	}
	var write WriteConfig
	write.SetToDefault()
	if !write.Tracing.JaegerPropagator || !write.Tracing.TraceContextPropagator {
		t.Errorf("tracing is %+v", write.Tracing)
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	f := func(err error, words string) {
		t.Helper()
		if words == "" && err != nil || words != "" && (err == nil || !strings.Contains(err.Error(), words)) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
	endpoint := func(change func(*EndpointConfig)) error {
		c := endpointConfig("http://host:4040/path")
		change(&c)
		return c.Validate()
	}
	f(endpoint(func(*EndpointConfig) {}), "")
	// Alloy starts with these too.
	f(endpoint(func(c *EndpointConfig) { c.URL = "host:4040" }), "")
	f(endpoint(func(c *EndpointConfig) { c.URL = "ftp://host" }), "")
	f(endpoint(func(c *EndpointConfig) { c.URL = "http:host" }), "")
	f(endpoint(func(c *EndpointConfig) { c.URL = "http://h?a=b" }), "query")
	f(endpoint(func(c *EndpointConfig) { c.RemoteTimeout = 0 }), "remote_timeout")
	f(endpoint(func(c *EndpointConfig) { c.MinBackoff = time.Hour }), "min_backoff_period")
	f(endpoint(func(c *EndpointConfig) { c.MaxBackoffRetries = -1 }), "max_backoff_retries")
	f(endpoint(func(c *EndpointConfig) { c.HTTP.BearerToken, c.HTTP.BearerTokenFile = "a", "b" }), "bearer_token")

	write := func(name, value string) error {
		return (&WriteConfig{ExternalLabels: map[string]string{name: value}}).Validate()
	}
	f(write("host", "a/b.c d"), "")
	f(write("__name__", "svc"), "")
	f(write("a-b", "c"), `"a-b"`)
	f(write("a", "b,c"), "','")
	f(write("a", "}"), "'}'")
	f(write("__name__", "a b"), `"a b"`)

	f((&ReceiveConfig{GracefulShutdownTimeout: -1}).Validate(), "graceful_shutdown_timeout")

}

func TestSettingsWithoutEffectCauseAWarning(t *testing.T) {
	var names []string
	o := component.Options{Dir: t.TempDir(), Warn: func(name, _ string) { names = append(names, name) }}
	receive, write := receiveConfig(), writeConfig("http://h")
	check := func(want ...string) {
		t.Helper()
		names = nil
		if _, err := NewReceive(receive, o); err != nil {
			t.Fatal(err)
		}
		if _, err := NewWrite(write, o); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Error(diff)
		}
	}
	check()
	write.Endpoints[0].MaxBackoffRetries = 0
	receive.GracefulShutdownTimeout = time.Second
	check()
	write.Endpoints[0].MaxBackoffRetries = 3
	write.Tracing = TracingConfig{}
	receive.GracefulShutdownTimeout = time.Minute
	receive.GRPC = &httpserver.GRPCConfig{}
	check("grpc", "graceful_shutdown_timeout", "tracing/jaeger_propagator", "tracing/trace_context_propagator", "endpoint[0]/max_backoff_retries")
}

func TestDestinationsHaveStableAndDistinctNames(t *testing.T) {
	ids := func(c WriteConfig) (ids []string) {
		t.Helper()
		w, err := NewWrite(c, component.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		for _, status := range w.Status().([]deliver.Status) {
			ids = append(ids, status.ID)
		}
		return ids
	}
	c := writeConfig("http://a:4040", "http://b", "http://a:4040", "http://c")
	c.Endpoints[3].Name = "cloud"
	first := ids(c)
	if first[3] != "cloud" || first[2] != first[0]+"-2" || !strings.HasPrefix(first[1], "b-") {
		t.Errorf("got %q", first)
	}
	c.Endpoints[0].Headers = map[string]string{"X-Scope-OrgID": "1"}
	c.Endpoints[1].URL = "http://user:password@b"
	if diff := cmp.Diff(first, ids(c)); diff != "" {
		t.Error(diff)
	}
}

// certificate makes a self-signed certificate for 127.0.0.1.
func certificate(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	certPEM, keyPEM := tlstest.SelfSigned(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return []byte(certPEM), []byte(keyPEM)
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t, 1)
	s := &sink{}
	c := receiveConfig(s)
	dir := t.TempDir()
	c.HTTP.TLS = &httpserver.TLSConfig{
		CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key"),
		ClientAuthType: "RequireAndVerifyClientCert", ClientCAPEM: string(cert), MinVersion: "VersionTLS13",
	}
	write := func(cert, key []byte) {
		t.Helper()
		if err := os.WriteFile(c.HTTP.TLS.CertFile, cert, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.HTTP.TLS.KeyFile, key, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(cert, key)
	if err := c.HTTP.TLS.Validate(); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(start(t, c).url, "http://")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	client := func(roots []byte, with ...tls.Certificate) *http.Client {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(roots)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: with}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	push := func(client *http.Client) error {
		_, err := pushv1connect.NewPusherServiceClient(client, "https://"+address, connect.WithGRPC()).
			Push(context.Background(), connect.NewRequest(pushOf(series([]string{"p"}, "service_name", "a"))))
		return err
	}
	if err := push(client(cert, pair)); err != nil {
		t.Error(err)
	}
	if err := push(client(cert)); err == nil {
		t.Error("a client without a certificate was served")
	}
	// A replaced certificate is used from the next connection on.
	replaced, replacedKey := certificate(t, 2)
	write(replaced, replacedKey)
	if err := push(client(replaced, pair)); err != nil {
		t.Error(err)
	}
	if got := len(s.profiles()); got != 2 {
		t.Errorf("%d profiles arrived", got)
	}
}

func TestBadCertificatesAreFoundBeforeTheStart(t *testing.T) {
	c := receiveConfig()
	c.HTTP.TLS = &httpserver.TLSConfig{CertPEM: "nonsense", KeyPEM: "nonsense"}
	if _, err := NewReceive(c, component.Options{}); err == nil || !strings.Contains(err.Error(), "http > tls") {
		t.Errorf("got %v", err)
	}
}
