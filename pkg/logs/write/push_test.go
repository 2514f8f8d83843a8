package write

import (
	"net/http"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/deliver"
	"collector/pkg/deliver/delivertest"
	"collector/pkg/queue"
)

func TestLokiIsPushedTo(t *testing.T) {
	delivertest.Push{
		New: func(t *testing.T, url string, headers map[string]string) deliver.Sender {
			m := newMetrics(prometheus.NewRegistry())
			e := endpoint(url + "/loki/api/v1/push")
			e.Headers = headers
			s, err := newSender(e, "test/1", m)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.client.Close)
			return s
		},
		Blocks:      []queue.Block{{Data: snappy.Encode(nil, []byte("a push")), Items: 1}},
		Acknowledge: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	}.Test(t)
}
