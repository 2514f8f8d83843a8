//go:build integration

package ui

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// startDemo starts `collector demo` and waits until all four signals show, with a
// profile that has samples.
func startDemo(t *testing.T, flags ...string) (url string) {
	t.Helper()
	c := harness.NewCollector(t, "", "TMPDIR="+t.TempDir(), "DOCKER_HOST=unix:///nowhere.sock")
	p := c.Command(t, append([]string{"demo", "--server.http.listen-addr=127.0.0.1:0"}, flags...)...)
	harness.Eventually(t, waiting, func() error {
		if url = regexp.MustCompile(`http://\S+/\n`).FindString(p.Output()); url == "" {
			return fmt.Errorf("the demo does not say where its UI is:\n%s", p.Output())
		}
		return nil
	})
	url = strings.TrimSuffix(strings.TrimSpace(url), "/")
	harness.Eventually(t, waiting, func() error {
		var window struct {
			Signals []struct {
				Signal string
				Items  int
			}
		}
		if err := getJSON(url+"/api/v1/explore", &window); err != nil {
			return err
		}
		for _, s := range window.Signals {
			if s.Items == 0 {
				return fmt.Errorf("nothing of the %s", s.Signal)
			}
		}
		var flame struct{ Root struct{ Value int64 } }
		if err := getJSON(url+"/api/v1/explore/flame?service=backend&type=cpu", &flame); err != nil {
			return err
		}
		if flame.Root.Value == 0 {
			return errors.New("no processor time in the profiles")
		}
		return nil
	})
	return url
}

func getJSON(url string, into any) error {
	client := &http.Client{Timeout: 20 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// aTrace is the id of a trace in the window that has spans of more than one
// depth.
func aTrace(t *testing.T, url string) (id string) {
	t.Helper()
	harness.Eventually(t, waiting, func() error {
		var window struct {
			Traces []struct {
				TraceID string
				Spans   int
			}
		}
		if err := getJSON(url+"/api/v1/explore/traces", &window); err != nil {
			return err
		}
		most := 1
		for _, trace := range window.Traces {
			if trace.Spans > most {
				id, most = trace.TraceID, trace.Spans
			}
		}
		if id == "" {
			return fmt.Errorf("no trace of several spans among %d", len(window.Traces))
		}
		return nil
	})
	return id
}
