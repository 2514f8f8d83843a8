package discovery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/component"
	"collector/pkg/docker/dockertest"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
)

func TestTheEngineIsReachedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		var c DockerConfig
		c.SetToDefault()
		c.Host, c.HTTPClient = url, client
		d, err := NewDocker(c, component.Options{ID: "discovery.docker.test"})
		if err != nil {
			t.Error(err)
			return
		}
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	}}.Test(t)
}

func TestContainersAreListedEachRefreshInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		d.Run(dockertest.Container{Image: "app:1"})
		config := dockerConfig(d)
		config.RefreshInterval = 10 * time.Second
		c := newDocker(t, d, config)
		run(t, c)
		await(t, targetsOf(c, "targets"), count(1))
		<-time.After(time.Minute)
		before := len(d.Requests())
		<-time.After(time.Minute)
		if n := len(d.Requests()) - before; n < 5 || n > 7 {
			t.Errorf("%d requests in a minute, want one each 10 s", n)
		}
	})
}
