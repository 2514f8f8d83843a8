package otlphttp

import (
	"testing"

	"collector/pkg/otlp/otlptest"
)

func TestConfigsAreCheckedAndSayWhere(t *testing.T) {
	otlptest.Says(t, "", func(*Config) {})
	otlptest.Says(t, "client > endpoint: ", func(c *Config) { c.Client.Endpoint = "http://tempo:x" })
	otlptest.Says(t, "", func(c *Config) { c.Client.Endpoint = "tempo:4318" })
	otlptest.Says(t, "encoding: ", func(c *Config) { c.Client.Endpoint, c.Encoding = "http://tempo:4318", "xml" })
	otlptest.Says(t, "compression: ", func(c *Client) { c.Compression = "br" })
	otlptest.Says(t, "compression_params > level: ", func(c *Client) { c.CompressionParams = &CompressionParams{Level: 10} })
	otlptest.Says(t, "", func(c *Client) { c.Compression, c.CompressionParams = "zstd", &CompressionParams{Level: 11} })
	otlptest.Says(t, "", func(c *Client) { c.Compression, c.CompressionParams = "zstd", &CompressionParams{Level: 0} })
	otlptest.Says(t, "compression_params > level: ", func(c *Client) { c.Compression, c.CompressionParams = "snappy", &CompressionParams{Level: 1} })
	otlptest.Says(t, "proxy_url: ", func(c *Client) { c.ProxyURL = "proxy" })
}
