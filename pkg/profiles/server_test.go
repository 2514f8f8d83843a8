package profiles

import (
	"strings"
	"testing"

	"collector/pkg/httpserver"
	"collector/pkg/httpserver/httpservertest"
)

func TestTheServerHasItsSettings(t *testing.T) {
	httpservertest.User{Path: "/ingest?name=app", ContentType: "text/plain", Start: func(t *testing.T, server httpserver.Config) string {
		c := receiveConfig(&sink{})
		c.HTTP = server
		return strings.TrimPrefix(start(t, c).url, "http://")
	}}.Test(t)
}
