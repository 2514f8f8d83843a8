package imports

import (
	"context"
	"testing"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
)

func TestModulesAreFetchedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		c := httpConfig(url + "/m.alloy")
		c.Client = client
		_, _ = NewHTTP(c, component.Options{Context: ctx}) // nothing that is answered is a module
	}}.Test(t)
}
