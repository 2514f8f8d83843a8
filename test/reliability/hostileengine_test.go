//go:build integration

package reliability

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"collector/pkg/remotewrite/remotewritetest"
	"collector/test/harness"
)

const hostileMemory = 256 << 20

const hostileConfig = `
discovery.docker "%[1]s" {
	host             = "%[2]s"
	refresh_interval = "1s"
}

loki.source.docker "%[1]s" {
	host       = "%[2]s"
	targets    = discovery.docker.%[1]s.targets
	labels     = {job = "hostile"}
	forward_to = [loki.write.none.receiver]
}
`

const besideHostile = `
loki.write "none" { }

prometheus.scrape "good" {
	targets         = [{"__address__" = "%s"}]
	scrape_interval = "1s"
	scrape_timeout  = "1s"
	forward_to      = [prometheus.remote_write.default.receiver]
}

prometheus.remote_write "default" {
	endpoint {
		url = "%s"
	}
}
`

// hostileEngine answers some requests without an end, and the others like an
// Engine with a few containers to which nothing happens.
func hostileEngine(t *testing.T, asked *atomic.Int64, endless map[string][2]string) *httptest.Server {
	t.Helper()
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
	}
	var containers []string
	for i := range 20 {
		containers = append(containers, fmt.Sprintf(`{"Id":"%064d","Names":["/c%d"],"State":"running","HostConfig":{"NetworkMode":"default"}}`, i, i))
	}
	quiet := func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	answers := map[string]http.HandlerFunc{
		"/_ping":           func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.41") },
		"/networks":        text("[]"),
		"/containers/json": text("[" + strings.Join(containers, ",") + "]"),
		"/events":          quiet,
	}
	for path, of := range endless {
		answers[path] = func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			io.WriteString(w, of[0])
			if of[1] == "" {
				startContainers(w)
				return
			}
			chunk := bytes.Repeat([]byte(of[1]), (64<<10)/len(of[1]))
			for {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	}
	mux := http.NewServeMux()
	for path, answer := range answers {
		mux.HandleFunc(path, answer)
		mux.HandleFunc("/v1.41"+path, answer)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// startContainers says without end that another container has started.
func startContainers(w io.Writer) {
	labels := strings.Repeat("x", 5000)
	for i := 0; ; i++ {
		if _, err := fmt.Fprintf(w, `{"Type":"container","Action":"start","Actor":{"ID":"%064d","Attributes":{"a":"%s"}}}`, i, labels); err != nil {
			return
		}
	}
}

// TestAnEngineWithEndlessAnswersAffectsNothingElse gives the collector 256 MiB, and Engines
// whose lists, inspections, events and logs have no end.
func TestAnEngineWithEndlessAnswersAffectsNothingElse(t *testing.T) {
	good := harness.StartTarget(t, 100)
	receiver := remotewritetest.New(t, nil)
	asked, hosts := make(map[string]*atomic.Int64), make(map[string]string)
	config := fmt.Sprintf(besideHostile, good.Address, receiver.URL)
	manyLabels := strings.Repeat(`,"a":"1"`, 100)
	for name, endless := range map[string]map[string][2]string{
		"lists":       {"/containers/json": {`[{"Id":"0"}`, `,{"Id":"1","State":"running","Labels":{"a":"1","b":"2","c":"3","d":"4"}}`}},
		"tiny":        {"/containers/json": {`[{}`, `,{}`}},
		"networks":    {"/networks": {`[{}`, `,{}`}},
		"inspections": {"/containers/{id}/json": {`{"Id":"0","Config":{"Labels":{"x":"1"`, manyLabels}},
		"logs":        {"/containers/{id}/logs": {"\x01\x00\x00\x00\xff\xff\xff\xff2026-01-02T03:04:05.000000000Z ", "x"}},
		"events":      {"/events": {`{"Action":"`, "x"}},
		"starts":      {"/events": {}},
	} {
		asked[name] = new(atomic.Int64)
		hosts[name] = hostileEngine(t, asked[name], endless).URL
		config += fmt.Sprintf(hostileConfig, name, hosts[name])
	}
	c := harness.NewCollector(t, config)
	group := c.LimitMemory(t, hostileMemory)
	c.Start(t)
	pid := c.Pid()
	peak := watchMemory(t, func() int64 { return rssOf(pid) })
	begun := good.Scrapes()
	harness.Eventually(t, 5*time.Minute, func() error {
		for name, n := range asked {
			if n.Load() < 1 {
				return fmt.Errorf("nothing was asked of the Engine with endless %s", name)
			}
			// The output of a container may be endless.
			if name != "logs" && c.Metric(t, "collector_docker_oversize_answers_total", "docker_host", hosts[name]) < 1 {
				return fmt.Errorf("no answer of the Engine with endless %s is counted", name)
			}
		}
		if good.Scrapes() < begun+30 {
			return errors.New("the good target waits")
		}
		return nil
	})
	if kills := group.Kills(t); kills > 0 {
		t.Errorf("the kernel has killed %d processes", kills)
	}
	arrived := 0
	for _, s := range receiver.Samples() {
		if strings.Contains(s.Series, `index="99"`) {
			arrived++
		}
	}
	if arrived < 20 {
		t.Errorf("%d samples of a series of the good target have arrived", arrived)
	}
	for name, host := range hosts {
		named := slices.ContainsFunc(strings.Split(c.Output(), "\n"), func(line string) bool {
			return strings.Contains(line, "the limit is") && strings.Contains(line, "host="+host)
		})
		if !named && name != "logs" {
			t.Errorf("no message names the Engine with endless %s", name)
		}
	}
	t.Logf("at most %d MiB resident; %d scrapes", peak()>>20, good.Scrapes())
	c.Stop(t)
}
