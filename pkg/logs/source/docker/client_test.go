package docker

import (
	"context"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

func TestTheEngineIsReachedWithTheClientsSettings(t *testing.T) {
	for block, set := range map[string]func(*Config, *Client){
		"client":             func(c *Config, block *Client) { c.Client = block },
		"http_client_config": func(c *Config, block *Client) { c.HTTPClientConfig = block },
	} {
		t.Run(block, httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
			var c Config
			c.SetToDefault()
			c.Host, c.Targets, c.ForwardTo = url, discovery.NewSet(), []pipeline.LogsSink{&logstest.Sink{}}
			c.Targets.Replace([]discovery.Target{labels.FromStrings(containerIDLabel, "c1")})
			set(&c, &Client{HTTP: client})
			s, err := New(c, component.Options{ID: "loki.source.docker.test", Dir: t.TempDir()})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		}}.Test)
	}
}
