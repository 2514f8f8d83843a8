package profiles

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
	"collector/pkg/profiles/profilestest"
)

func TestPyroscopeWriteKeepsTheContractOfSinks(t *testing.T) {
	server := profilestest.NewServer(t)
	var up atomic.Bool
	server.SetFault(func(*http.Request) *profilestest.Fault {
		if up.Load() {
			return nil
		}
		return &profilestest.Fault{Status: http.StatusServiceUnavailable}
	})
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			var c WriteConfig
			c.SetToDefault()
			e := endpointConfig(server.URL)
			e.MinBackoff, e.MaxBackoff = time.Millisecond, 10*time.Millisecond
			c.Endpoints = []EndpointConfig{e}
			w, err := NewWrite(c, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			return w
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			body := fmt.Appendf(nil, "x %d\n", number+1)
			err := r.(*Write).WriteProfile(ctx, pipeline.Profile{
				Route: pipeline.ProfileIngest, Query: "name=a%7Bservice_name%3Da%7D&format=lines", ContentType: "text/plain", Body: body, Items: 1,
			})
			copy(body, "overwritten")
			return err
		},
		Serve: up.Store,
		Arrived: func() map[int]int {
			arrived := make(map[int]int)
			for _, r := range server.Requests() {
				n := 0
				if _, err := fmt.Sscanf(strings.TrimSpace(string(r.Body)), "x %d", &n); err == nil {
					arrived[n-1]++
				}
			}
			return arrived
		},
		Bad: func(ctx context.Context, r pipelinetest.Runner) error {
			return r.(*Write).WriteProfile(ctx, pipeline.Profile{Route: pipeline.ProfilePush, Body: []byte("\xff\xff"), Items: 1})
		},
	}.Test(t)
}
