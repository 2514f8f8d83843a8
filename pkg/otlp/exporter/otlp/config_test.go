package otlp

import (
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/otlp/otlptest"
)

func TestConfigsAreCheckedAndSayWhere(t *testing.T) {
	otlptest.Says(t, "", func(*Client) {})
	otlptest.Says(t, "", func(c *Client) { c.Endpoint = "tempo" })
	otlptest.Says(t, "", func(c *Client) { c.Endpoint = "tempo:4317" })
	otlptest.Says(t, "compression: ", func(c *Client) { c.Endpoint, c.Compression = "tempo:4317", "br" })
	otlptest.Says(t, "balancer_name: ", func(c *Client) { c.Endpoint, c.BalancerName = "tempo:4317", "best" })
	otlptest.Says(t, "headers: ", func(c *Client) { c.Endpoint, c.Headers = "tempo:4317", map[string]string{"a b": ""} })
	otlptest.Says(t, "timeout: ", func(c *Config) { c.Timeout = -time.Second })
	otlptest.Says(t, "", func(c *Config) { c.Timeout = 0 })
}

func TestSettingsWithoutEffectCauseAWarning(t *testing.T) {
	warnings := func(change func(*Config)) string {
		t.Helper()
		var c Config
		c.SetToDefault()
		c.Client.Endpoint = "tempo:4317"
		change(&c)
		var names []string
		_, err := New(c, component.Options{Dir: t.TempDir(), Warn: func(name, why string) { names = append(names, name) }})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(names, ", ")
	}
	f := func(want string, change func(*Config)) {
		t.Helper()
		if got := warnings(change); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f("", func(*Config) {})
	f("client/endpoint", func(c *Config) { c.Client.Endpoint = "" })
	f("client/endpoint", func(c *Config) { c.Client.Endpoint = "tempo" })
	f("", func(c *Config) { c.Retry.MaxElapsedTime = 0 })
	f("retry_on_failure/max_elapsed_time", func(c *Config) { c.Retry.MaxElapsedTime = time.Hour })
	f("sending_queue/enabled", func(c *Config) { c.Queue.Enabled = false })
	f("sending_queue/wait_for_result", func(c *Config) { c.Queue.WaitForResult = true })
	f("sending_queue/queue_size", func(c *Config) { c.Queue.QueueSize = 5000 })
	f("", func(c *Config) { c.Queue.QueueSize, c.Queue.Sizer = 5<<20, "bytes" })
	f("debug_metrics/disable_high_cardinality_metrics", func(c *Config) { c.DebugMetrics.DisableHighCardinalityMetrics = false })
}
