//go:build integration

package remotewrite

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"collector/pkg/component"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
	"collector/test/harness"
)

// victoriaMetrics starts the real thing and returns its URL.
func victoriaMetrics(t *testing.T, flags ...string) string {
	t.Helper()
	program := harness.Tool(t, "victoria-metrics")
	cmd := exec.Command(program, append([]string{
		"-storageDataPath=" + t.TempDir(), "-httpListenAddr=127.0.0.1:0", "-retentionPeriod=100y", "-search.disableCache",
	}, flags...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := regexp.MustCompile(`started server at (http://[0-9.:]+)`)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if m := address.FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return m[1]
		}
	}
	t.Fatal("victoria-metrics did not say where it listens")
	return ""
}

type exported struct {
	Metric     map[string]string `json:"metric"`
	Values     []*float64        `json:"values"` // null for NaN
	Timestamps []int64           `json:"timestamps"`
}

// export asks VictoriaMetrics for everything that matches, by series.
func export(t *testing.T, base, match string) map[string]exported {
	t.Helper()
	for _, path := range []string{"/internal/force_flush", "/api/v1/export?match[]=" + url.QueryEscape(match)} {
		resp, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if path == "/internal/force_flush" {
			continue
		}
		out := make(map[string]exported)
		decoder := json.NewDecoder(resp.Body)
		for decoder.More() {
			var e exported
			if err := decoder.Decode(&e); err != nil {
				t.Fatal(err)
			}
			out[labels.FromMap(e.Metric).String()] = e
		}
		return out
	}
	return nil
}

func TestVictoriaMetricsAcceptsMergedBlocks(t *testing.T) {
	for _, enc := range []encoding{encodingZstd, encodingSnappy} {
		t.Run(string(enc), func(t *testing.T) {
			base := victoriaMetrics(t, "-enableMetadata")
			e := testEndpoint(t, base+"/api/v1/write", nil)
			now := time.Now().Truncate(time.Second).UnixMilli()
			want := make(map[string]exported)
			var blocks []queue.Block
			for i := range 7 {
				var m pipeline.Metrics
				for j := range 300 * (i + 1) {
					set := map[string]string{"__name__": "merged", "block": fmt.Sprint(i), "series": fmt.Sprint(j)}
					v := float64(i) + float64(j)/1024
					m.Samples = append(m.Samples, pipeline.Sample{Series: pipeline.NewSeries(labels.FromMap(set)), T: now - int64(i)*1000, V: v})
					want[labels.FromMap(set).String()] = exported{Metric: set, Values: []*float64{&v}, Timestamps: []int64{now - int64(i)*1000}}
				}
				blocks = append(blocks, testBlocks(t, m, enc)...)
			}
			if _, err := e.Send(t.Context(), blocks); err != nil {
				t.Fatal(err)
			}
			if enc == encodingZstd && e.snappy.Load() {
				t.Error("joined zstd frames were not taken")
			}
			if diff := cmp.Diff(want, export(t, base, "merged")); diff != "" {
				t.Errorf("what is stored differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVictoriaMetricsAcceptsEverythingElseInARequest(t *testing.T) {
	for _, flags := range [][]string{nil, {"-enableMetadata"}} {
		base := victoriaMetrics(t, flags...)
		e := testEndpoint(t, base+"/api/v1/write", nil)
		series := pipeline.NewSeries(labels.FromStrings("__name__", "mixed"))
		now := time.Now().Truncate(time.Second).UnixMilli()
		m := pipeline.Metrics{
			Samples: []pipeline.Sample{
				{Series: series, T: now - 1000, V: 3}, {Series: series, T: now, V: math.Float64frombits(value.StaleNaN)},
			},
			Histograms: []pipeline.HistogramSample{{Series: series, T: now, H: &histogram.Histogram{Count: 1, Sum: 1,
				PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}}, PositiveBuckets: []int64{1}}}},
			Exemplars: []pipeline.Exemplar{{Series: series, Exemplar: exemplar.Exemplar{Labels: labels.FromStrings("trace_id", "1"), Value: 1, Ts: now}}},
			Metadata:  []pipeline.Metadata{{Family: "mixed", Type: "gauge", Help: "What is mixed.", Unit: "s"}},
		}
		if _, err := e.Send(t.Context(), testBlocks(t, m, encodingZstd)); err != nil {
			t.Fatal(err)
		}
		if e.snappy.Load() {
			t.Error("zstd was refused")
		}
		got := export(t, base, "mixed")[`{__name__="mixed"}`]
		if len(got.Values) == 0 || got.Values[0] == nil || *got.Values[0] != 3 {
			t.Errorf("stored: %+v", got)
		}
		if flags == nil {
			continue
		}
		resp, err := http.Get(base + "/api/v1/metadata")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if !regexp.MustCompile(`What is mixed`).Match(body) {
			t.Errorf("metadata: %s", body)
		}
	}
}

func TestVictoriaMetricsHoldsEverySampleOnceAfterAnOutage(t *testing.T) {
	base := victoriaMetrics(t)
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	var up atomic.Bool
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	cfg := testConfig(front.URL + "/api/v1/write")
	cfg.ExternalLabels = map[string]string{"host": "h"}
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{})
	const scrapes, size = 60, 500
	first := time.Now().Truncate(time.Second).Add(-scrapes * 15 * time.Second).UnixMilli()
	m := scrape(size)
	for i := range scrapes {
		for j := range m.Samples {
			m.Samples[j].T, m.Samples[j].V = first+int64(i)*15000, float64(i*size+j)
		}
		write(t, c, m)
	}
	up.Store(true)
	if s := balance(t, c, 0); s.Delivered != scrapes*size || s.Encoding != "zstd" {
		t.Errorf("status: %+v", s)
	}
	got := export(t, base, `{job="prometheus.scrape.app"}`)
	if len(got) != size {
		t.Errorf("%d series are stored, want %d", len(got), size)
	}
	for name, series := range got {
		if len(series.Values) != scrapes || len(series.Timestamps) != scrapes {
			t.Errorf("%s has %d samples, want %d", name, len(series.Values), scrapes)
			continue
		}
		for i, at := range series.Timestamps {
			if at != first+int64(i)*15000 || int(*series.Values[i])/size != i {
				t.Errorf("%s: sample %d is %v at %d", name, i, *series.Values[i], at)
			}
		}
	}
}
