package profiles

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"collector/pkg/deliver"
	"collector/pkg/deliver/delivertest"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

func TestProfilesArePushed(t *testing.T) {
	for _, block := range []queue.Block{ingestBlock("x 1\n"), blockOf(frame{route: pipeline.ProfilePush, body: []byte("a push")}, 1)} {
		delivertest.Push{
			New: func(t *testing.T, url string, headers map[string]string) deliver.Sender {
				c := endpointConfig(url)
				c.Headers = headers
				return mustSender(t, c)
			},
			Blocks:      []queue.Block{block},
			Acknowledge: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/proto") },
		}.Test(t)
	}
}

func TestAPushIsAcknowledgedInTheConnectProtocolOnly(t *testing.T) {
	for _, test := range []struct {
		status     int
		kind, body string
		delivered  bool
	}{
		{200, "application/proto", "", true},
		{200, "application/json", `{"message":"please sign in"}`, false},
		{200, "text/plain", "ok", false},
		{200, "", "", false},
		{204, "application/proto", "", false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", test.kind)
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		}))
		_, err := mustSender(t, endpointConfig(server.URL)).Send(t.Context(), []queue.Block{blockOf(frame{route: pipeline.ProfilePush}, 1)})
		server.Close()
		var e *deliver.Error
		if (err == nil) != test.delivered || errors.As(err, &e) && e.Rejected || err != nil && !strings.Contains(err.Error(), "is this the URL of Pyroscope?") {
			t.Errorf("%d %q %q: %v", test.status, test.kind, test.body, err)
		}
	}
}
