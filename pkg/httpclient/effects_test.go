package httpclient_test

import (
	"context"
	"testing"

	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
)

func TestEverySettingHasItsEffect(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(_ context.Context, t *testing.T, url string, c httpclient.Config) {
		client, err := c.New("test", "agent/1")
		if err != nil {
			t.Error(err)
			return
		}
		defer client.CloseIdleConnections()
		if answer, err := client.Get(url + "/path"); err == nil {
			answer.Body.Close()
		}
	}}.Test(t)
}
