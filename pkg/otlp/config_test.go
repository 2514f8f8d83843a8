package otlp

import (
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
)

// checked is a configuration struct with defaults and checks.
type checked[T any] interface {
	*T
	SetToDefault()
	Validate() error
}

// says: with the change, the defaults are refused with a message that begins
// with want, or accepted if that is empty.
func says[T any, P checked[T]](t *testing.T, want string, change func(P)) {
	t.Helper()
	var c T
	P(&c).SetToDefault()
	change(&c)
	err := P(&c).Validate()
	if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestConfigsAreCheckedAndSayWhere(t *testing.T) {
	says(t, "", func(*GRPCServer) {})
	says(t, "", func(c *GRPCServer) { c.Transport, c.Endpoint = "unix", "/run/otlp.sock" })
	says(t, "transport: ", func(c *GRPCServer) { c.Transport = "udp" })
	says(t, "endpoint: ", func(c *GRPCServer) { c.Endpoint = "4317" })
	says(t, "auth: ", func(c *GRPCServer) { c.Auth = "x" })
	says(t, "", func(*HTTPServer) {})
	says(t, "auth: ", func(c *HTTPServer) { c.Auth = "x" })
	says(t, "compression_algorithms: ", func(c *HTTPServer) { c.CompressionAlgorithms = []string{"br"} })
	says(t, "traces_url_path: ", func(c *HTTPServer) { c.TracesURLPath = "" })
	says(t, "traces_url_path: it, ", func(c *HTTPServer) { c.TracesURLPath = c.LogsURLPath })
	says(t, "max_age: ", func(c *CORS) { c.MaxAge = -1 })
	says(t, "level: ", func(c *flow.DebugMetrics) { c.Level = "all" })
	says(t, "", func(*BatchConfig) {})
	says(t, "send_batch_max_size: ", func(c *BatchConfig) { c.SendBatchMaxSize = 1 })
	says(t, "metadata_keys: ", func(c *BatchConfig) { c.MetadataKeys = []string{"a", "A"} })
	says(t, "", func(*GRPCClient) {})
	says(t, "", func(c *GRPCClient) { c.Endpoint = "tempo" })
	says(t, "", func(c *GRPCClient) { c.Endpoint = "tempo:4317" })
	says(t, "compression: ", func(c *GRPCClient) { c.Endpoint, c.Compression = "tempo:4317", "br" })
	says(t, "balancer_name: ", func(c *GRPCClient) { c.Endpoint, c.BalancerName = "tempo:4317", "best" })
	says(t, "headers: ", func(c *GRPCClient) { c.Endpoint, c.Headers = "tempo:4317", map[string]string{"a b": ""} })
	says(t, "timeout: ", func(c *ExporterGRPCConfig) { c.Timeout = 0 })
	says(t, "", func(*ExporterHTTPConfig) {})
	says(t, "client > endpoint: ", func(c *ExporterHTTPConfig) { c.Client.Endpoint = "http://tempo:x" })
	says(t, "", func(c *ExporterHTTPConfig) { c.Client.Endpoint = "tempo:4318" })
	says(t, "encoding: ", func(c *ExporterHTTPConfig) { c.Client.Endpoint, c.Encoding = "http://tempo:4318", "xml" })
	says(t, "compression: ", func(c *HTTPClient) { c.Compression = "br" })
	says(t, "compression_params > level: ", func(c *HTTPClient) { c.CompressionParams = &CompressionParams{Level: 10} })
	says(t, "", func(c *HTTPClient) { c.Compression, c.CompressionParams = "zstd", &CompressionParams{Level: 11} })
	says(t, "proxy_url: ", func(c *HTTPClient) { c.ProxyURL = "proxy" })
	says(t, "multiplier: ", func(c *Retry) { c.Multiplier = 1 })
	says(t, "randomization_factor: ", func(c *Retry) { c.RandomizationFactor = 2 })
	says(t, "max_interval: ", func(c *Retry) { c.MaxInterval = time.Second })
	says(t, "storage: ", func(c *SendingQueue) { c.Storage = "x" })
	says(t, "sizer: ", func(c *SendingQueue) { c.Sizer = "x" })
	says(t, "queue_size: ", func(c *SendingQueue) { c.QueueSize = 0 })
	says(t, "num_consumers: ", func(c *SendingQueue) { c.NumConsumers = 0 })
	says(t, "", func(*QueueBatch) {})
	says(t, "max_size: ", func(c *QueueBatch) { c.MaxSize = 5 })
	says(t, "sizer: ", func(c *QueueBatch) { c.Sizer = sizerRequests })
	if err := (&TPM{Enabled: true}).Validate(); err == nil || !strings.HasPrefix(err.Error(), "enabled: ") {
		t.Errorf("got %v", err)
	}
}

func TestIdleConnectionsOfGRPCEndAsTheUserSays(t *testing.T) {
	f := func(k *ServerKeepalive, want time.Duration) {
		t.Helper()
		if got := (&GRPCServer{Keepalive: k}).serverParameters().MaxConnectionIdle; got != want {
			t.Errorf("after %s, want %s", got, want)
		}
	}
	var p ServerParameters
	p.SetToDefault()
	f(nil, 5*time.Minute)
	f(&ServerKeepalive{}, 5*time.Minute)
	f(&ServerKeepalive{ServerParameters: &p}, 5*time.Minute)
	f(&ServerKeepalive{ServerParameters: &ServerParameters{MaxConnectionIdle: 0}}, 0) // never
	f(&ServerKeepalive{ServerParameters: &ServerParameters{MaxConnectionIdle: time.Hour}}, time.Hour)
}

func TestSettingsWithoutEffectDrawAWarning(t *testing.T) {
	warnings := func(change func(*ExporterGRPCConfig)) string {
		t.Helper()
		var c ExporterGRPCConfig
		c.SetToDefault()
		c.Client.Endpoint = "tempo:4317"
		change(&c)
		var names []string
		_, err := NewExporterGRPC(c, component.Options{Dir: t.TempDir(), Warn: func(name, why string) { names = append(names, name) }})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(names, ", ")
	}
	f := func(want string, change func(*ExporterGRPCConfig)) {
		t.Helper()
		if got := warnings(change); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f("", func(*ExporterGRPCConfig) {})
	f("client/endpoint", func(c *ExporterGRPCConfig) { c.Client.Endpoint = "" })
	f("client/endpoint", func(c *ExporterGRPCConfig) { c.Client.Endpoint = "tempo" })
	f("", func(c *ExporterGRPCConfig) { c.Retry.MaxElapsedTime = 0 })
	f("retry_on_failure/max_elapsed_time", func(c *ExporterGRPCConfig) { c.Retry.MaxElapsedTime = time.Hour })
	f("sending_queue/enabled", func(c *ExporterGRPCConfig) { c.Queue.Enabled = false })
	f("sending_queue/wait_for_result", func(c *ExporterGRPCConfig) { c.Queue.WaitForResult = true })
	f("sending_queue/queue_size", func(c *ExporterGRPCConfig) { c.Queue.QueueSize = 5000 })
	f("", func(c *ExporterGRPCConfig) { c.Queue.QueueSize, c.Queue.Sizer = 5<<20, sizerBytes })
	f("debug_metrics/disable_high_cardinality_metrics", func(c *ExporterGRPCConfig) { c.DebugMetrics.DisableHighCardinalityMetrics = false })
}
