package api

import (
	"strings"
	"testing"

	"collector/pkg/httpserver"
	"collector/pkg/httpserver/httpservertest"
	"collector/pkg/logs/logstest"
)

func TestTheServerHasItsSettings(t *testing.T) {
	httpservertest.User{Path: "/loki/api/v1/push", ContentType: "application/json", Start: func(t *testing.T, server httpserver.Config) string {
		c := config(&logstest.Sink{})
		c.HTTP = server
		return strings.TrimPrefix(start(t, c, nil).url, "http://")
	}}.Test(t)
}
