package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runProgram runs a configuration as `collector run` does, and gives the URL of
// its HTTP server.
func runProgram(t testing.TB, text string, args ...string) (*program, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.alloy")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, flags := newRunFlags()
	if err := set.Parse(append([]string{"--server.http.listen-addr=127.0.0.1:0", "--storage.path=" + t.TempDir()}, args...)); err != nil {
		t.Fatal(err)
	}
	if err := flags.check(); err != nil {
		t.Fatal(err)
	}
	return startProgram(t, flags, path)
}

// startProgram runs a program until the test ends.
func startProgram(t testing.TB, flags *runFlags, path string) (*program, string) {
	t.Helper()
	var log bytes.Buffer
	p := newProgram(flags, path, &log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.run(ctx, io.Discard) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	wait(t, "the program to be ready", p.Ready)
	return p, "http://" + p.server.Addr().String()
}

func wait(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no end of waiting for " + what)
		}
	}
}

func fetchJSON[T any](t *testing.T, url string) (v T) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&v); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v", url, response.StatusCode, err)
	}
	return v
}

// scraped is a target of which the samples go to two destinations; $address is
// the target's, $store that of a store.
const scraped = `
prometheus.scrape "s" {
	targets         = [{"__address__" = "$address"}]
	scrape_interval = "1s"
	scrape_timeout  = "1s"
	forward_to      = [explore.sink.e.metrics, prometheus.remote_write.w.receiver]
}
explore.sink "e" { }
prometheus.remote_write "w" {
	endpoint { url = "http://user:hunter2planted@$store/api/v1/write" }
}
`

func TestWhatGoesToTwoDestinationsIsInTheWindowOnce(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "# TYPE things_total counter\nthings_total 7\n")
	}))
	defer target.Close()
	store := httptest.NewServer(http.NotFoundHandler())
	defer store.Close()
	text := strings.NewReplacer("$address", strings.TrimPrefix(target.URL, "http://"), "$store", strings.TrimPrefix(store.URL, "http://")).Replace(scraped)
	p, url := runProgram(t, text, "--explore.memory=1MiB")

	type series struct {
		Series []struct{ Points []struct{ T int64 } }
	}
	var found series
	wait(t, "three scrapes", func() bool {
		found = fetchJSON[series](t, url+"/api/v1/explore/metrics?name=things_total&rate=0")
		return len(found.Series) == 1 && len(found.Series[0].Points) >= 3
	})
	for i, point := range found.Series[0].Points[1:] {
		if point.T == found.Series[0].Points[i].T {
			t.Errorf("a sample is kept twice: %v", found)
		}
	}

	wait(t, "both edges", func() bool { return len(p.view.EdgeRates()) == 2 })
	for _, r := range p.view.EdgeRates() {
		if r.From != "prometheus.scrape.s" || r.Signal != "metrics" || r.Items == 0 {
			t.Errorf("%+v", r)
		}
	}
	all := p.view.Destinations()
	if len(all) != 2 || all[0].Component != "explore.sink.e" || all[0].Stores || all[0].Signal != "metrics" || all[0].Delivered == 0 {
		t.Fatalf("%+v", all)
	}
	w := all[1]
	if w.Component != "prometheus.remote_write.w" || !w.Stores || w.Signal != "metrics" || w.Received == 0 || strings.Contains(w.URL, "hunter2planted") {
		t.Errorf("%+v", w)
	}
	if w.Received != w.Delivered+w.Queued+sum(w.Dropped) {
		t.Errorf("the accounts do not add up: %+v", w)
	}
}

func TestTheWindowIsOffUnlessAskedFor(t *testing.T) {
	p, url := runProgram(t, `explore.sink "e" { }`)
	if p.view.window != nil {
		t.Error("it is on")
	}
	if v := fetchJSON[map[string]any](t, url+"/api/v1/explore"); v["enabled"] != false {
		t.Errorf("%v", v)
	}
}

// A sink that something leads to is a destination before anything has come; one
// that nothing leads to is none.
func TestASinkIsADestinationBeforeAnythingComes(t *testing.T) {
	p, url := runProgram(t, `
explore.sink "e" { }
explore.sink "unused" { }
loki.process "p" { forward_to = [explore.sink.e.logs] }
`)
	all := p.view.Destinations()
	if len(all) != 1 || all[0].Component != "explore.sink.e" || all[0].Signal != "logs" || all[0].Received != 0 || all[0].Stores || !all[0].Healthy {
		t.Errorf("%+v", all)
	}
	type overview struct{ Problems []struct{ Message string } }
	if o := fetchJSON[overview](t, url+"/api/v1/overview"); len(o.Problems) != 0 {
		t.Errorf("%+v", o)
	}
	p, url = runProgram(t, `
explore.sink "e" { }
otelcol.processor.batch "b" {
	output { traces = [explore.sink.e.input] }
}
`)
	if all = p.view.Destinations(); len(all) != 3 || all[0].Signal != "logs" || all[1].Signal != "metrics" || all[2].Signal != "traces" {
		t.Errorf("%+v", all)
	}
	if o := fetchJSON[overview](t, url+"/api/v1/overview"); len(o.Problems) != 0 {
		t.Errorf("%+v", o)
	}
	_, url = runProgram(t, `explore.sink "e" { }`)
	if o := fetchJSON[overview](t, url+"/api/v1/overview"); len(o.Problems) != 1 || !strings.Contains(o.Problems[0].Message, "no destination is set") {
		t.Errorf("%+v", o)
	}
}

// An exporter of OTLP makes its queues when something comes; until then it is a
// destination of what the receivers before it accept, and of nothing else.
func TestAnExporterIsADestinationBeforeAnythingComes(t *testing.T) {
	p, url := runProgram(t, `
otelcol.receiver.otlp "r" {
	http { endpoint = "127.0.0.1:0" }
	output { traces = [otelcol.processor.batch.b.input] }
}
otelcol.processor.batch "b" {
	output { traces = [otelcol.exporter.otlphttp.e.input] }
}
otelcol.exporter.otlphttp "e" { client { endpoint = "http://127.0.0.1:1" } }
otelcol.exporter.otlphttp "unused" { client { endpoint = "http://127.0.0.1:1" } }
`)
	all := p.view.Destinations()
	if len(all) != 1 || all[0].Component != "otelcol.exporter.otlphttp.e" || all[0].Signal != "traces" || all[0].URL != "http://127.0.0.1:1/v1/traces" || all[0].Received != 0 || !all[0].Healthy || !all[0].Stores {
		t.Errorf("%+v", all)
	}
	type overview struct{ Problems []struct{ Message string } }
	if o := fetchJSON[overview](t, url+"/api/v1/overview"); len(o.Problems) != 0 {
		t.Errorf("%+v", o)
	}
}

func TestStoppingEndsTheStreamsOfEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.alloy")
	if err := os.WriteFile(path, []byte(`explore.sink "e" { }`), 0o600); err != nil {
		t.Fatal(err)
	}
	set, flags := newRunFlags()
	if err := set.Parse([]string{"--server.http.listen-addr=127.0.0.1:0", "--storage.path=" + t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	p := newProgram(flags, path, io.Discard)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error)
	go func() { done <- p.run(ctx, io.Discard) }()
	wait(t, "the program to be ready", p.Ready)
	response, err := http.Get("http://" + p.server.Addr().String() + "/live/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	cancel()
	// A connection that is cut off would give an error here.
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Errorf("the stream was cut off: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTheWindowsFlagsAreChecked(t *testing.T) {
	for arg, want := range map[string]string{"--explore.memory=3": "not a size", "--explore.memory=1KiB": "at least 1MiB", "--explore.age=0s": "above 0", "--explore.memory=64MiB": "", "--explore.memory=0": ""} {
		set, f := newRunFlags()
		err := set.Parse([]string{arg})
		if err == nil {
			err = f.check()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	set, f := newRunFlags()
	if err := set.Parse([]string{"--explore.memory=64MiB"}); err != nil || f.exploreMemory != 64<<20 || set.Lookup(exploreMemoryFlag).Value.String() != "64MiB" {
		t.Errorf("%v, %v", err, f.exploreMemory)
	}
}

func TestWhenAQueueIsFull(t *testing.T) {
	for name, c := range map[string]struct {
		room  int64
		bytes []float64
		want  float64
	}{
		"nothing is known":                     {1000, nil, 0},
		"one reading":                          {1000, []float64{5}, 0},
		"it grows by 2 a second":               {1000, []float64{0, 10, 20, 30}, 500},
		"it grows, and leaves by the request":  {1000, []float64{0, 40, 20, 60}, 500},
		"what was before the last minute":      {1000, append(make([]float64, 40), 0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110), 500},
		"it shrinks":                           {1000, []float64{30, 20, 10, 0}, 0},
		"it stays":                             {1000, []float64{30, 30, 30}, 0},
		"there is no room left":                {0, []float64{0, 10, 20, 30}, 0},
		"of an odd number, the middle is left": {1000, []float64{0, 10, 20, 30, 40}, 500},
	} {
		if got := fullIn(c.room, c.bytes); got != c.want {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}
