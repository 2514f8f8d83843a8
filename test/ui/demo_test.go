//go:build integration

package ui

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// startDemo starts `collector demo` and waits until all four signals show, and
// enough of them to be drawn.
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
		return errors.Join(chartIsThere(url), flameIsThere(url))
	})
	return url
}

// chartIsThere is nil once there is something to draw of the increase of a
// counter. The page of a metric does not refresh itself.
func chartIsThere(url string) error {
	var metric struct {
		Series []struct{ Points []struct{ V float64 } }
	}
	if err := getJSON(url+"/api/v1/explore/metrics?name=http_requests_total&rate=1", &metric); err != nil {
		return err
	}
	if len(metric.Series) == 0 || len(metric.Series[0].Points) < 2 {
		return fmt.Errorf("no increase of a counter to draw: %+v", metric)
	}
	return nil
}

// frame is a function in a flame graph.
type frame struct {
	Name     string
	Value    int64
	Children []frame
}

// flameIsThere is nil once the flame graph of the backend has enough frames that are wide
// enough to be drawn, one of them of its own code, and another one three calls down. The
// page does not refresh itself, and the first profile of a busy machine may have a few
// samples only.
func flameIsThere(url string) error {
	const frames, deepest = 15, 3
	var flame struct{ Root frame }
	if err := getJSON(url+"/api/v1/explore/flame?service=backend&type=cpu", &flame); err != nil {
		return err
	}
	drawn, own, depth := 0, 0, 0
	var count func(frame, int)
	count = func(f frame, at int) {
		if f.Value <= 0 || f.Value < flame.Root.Value/100 {
			return
		}
		drawn, depth = drawn+1, max(depth, at)
		if strings.Contains(f.Name, "collector/backend") {
			own++
		}
		for _, child := range f.Children {
			count(child, at+1)
		}
	}
	count(flame.Root, 0)
	if drawn < frames || own == 0 || depth < deepest {
		return fmt.Errorf("the flame graph has %d frames, %d of the backend's own, %d calls deep", drawn, own, depth)
	}
	return nil
}

// spansAreThere is nil once the window has these spans of a trace.
func spansAreThere(url, path string, names ...string) error {
	var trace struct{ Tree []struct{ Name string } }
	if err := getJSON(url+"/api/v1"+path, &trace); err != nil {
		return err
	}
	var missing error
	for _, name := range names {
		if !slices.ContainsFunc(trace.Tree, func(span struct{ Name string }) bool { return span.Name == name }) {
			missing = errors.Join(missing, fmt.Errorf("no span %q among %d of %s", name, len(trace.Tree), path))
		}
	}
	return missing
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
