package faro

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/logs/logstest"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// shopMap maps line 1, column 5 to line 10 of src/pay.ts.
const shopMap = `{"version": 3, "sources": ["src/pay.ts"], "names": ["payNow"], "mappings": "AASIA,wCAUE"}`

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func mapsOf(t *testing.T, change func(*SourceMapsConfig)) (*sourceMaps, *prometheus.Registry) {
	t.Helper()
	var c SourceMapsConfig
	c.SetToDefault()
	change(&c)
	reg := prometheus.NewRegistry()
	s, err := newSourceMaps(c, component.Options{Metrics: reg}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s, reg
}

// resolved is the frame of a script at line 1, column 5.
func (s *sourceMaps) resolved(ctx context.Context, script, release string) string {
	p := &Payload{Exceptions: []Exception{{Stacktrace: &Stacktrace{[]Frame{{Filename: script, Line: 1, Column: 5, Module: "m"}}}}}}
	p.Meta.App.Release = release
	s.resolve(ctx, p)
	return strings.TrimPrefix(p.Exceptions[0].text(), ": \n  at ")
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSourceMapsOnDiskAreFoundByPrefixAndRelease(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "maps/r1/js/app.js.map"), shopMap)
	writeFile(t, filepath.Join(dir, "one.js.map"), shopMap)
	writeFile(t, filepath.Join(dir, "secret.map"), shopMap)
	writeFile(t, filepath.Join(dir, "maps/r1/bad.js.map"), `{"sections":[{}]}`)
	s, reg := mapsOf(t, func(c *SourceMapsConfig) {
		c.Locations = []LocationConfig{
			{MinifiedPathPrefix: "https://a.test/", Path: dir + "/maps/{{ .Release }}"},
			{MinifiedPathPrefix: "https://b.test/x.js", Path: dir + "/one.js"},
		}
	})
	for _, c := range []struct {
		script, release string
		found           bool
	}{
		{"https://a.test/js/app.js", "r1", true},
		{"https://a.test/js/app.js?v=1", "r1", true},
		{"https://a.test//js/./../app.js", "r1", true},
		{"https://a.test/js/app.js", "..//r1", true},
		{"https://b.test/x.js", "", true},
		{"https://a.test/js/app.js", "r2", false},
		{"https://a.test/../../secret", "r1", false},
		{"https://a.test/secret", "..", false},
		{"https://a.test/js/", "r1", false},
		{"https://a.test/a..b.js", "r1", false},
		{"https://a.test/bad.js", "r1", false},
		{"https://elsewhere.test/js/app.js", "r1", false},
		{"", "r1", false},
	} {
		got := s.resolved(t.Context(), c.script, c.release)
		if strings.HasPrefix(got, "payNow") != c.found {
			t.Errorf("%s of %s is at %s", c.script, c.release, got)
		}
		if !c.found && got != fmt.Sprintf(" (m|%s:1:5)", c.script) {
			t.Errorf("the frame that has no source map is %s", got)
		}
	}
	for status, want := range map[string]float64{"ok": 6, "invalid_path": 1, "not_found": 3} {
		if got := otlptest.Counter(t, reg, "faro_receiver_sourcemap_file_reads_total", status); got != want {
			t.Errorf("%v reads are %s, want %v", got, status, want)
		}
	}
	if got := otlptest.Counter(t, reg, "faro_receiver_sourcemap_cache_size", ""); got != 5 {
		t.Errorf("%v source maps are kept", got)
	}
}

// A source map is used for a while, and looked for again a while after it was missing.
func TestResultsAreKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "app.js.map")
		s, _ := mapsOf(t, func(c *SourceMapsConfig) {
			c.Locations = []LocationConfig{{MinifiedPathPrefix: "https://a.test/", Path: filepath.Dir(path)}}
		})
		step := func(after time.Duration, found bool) {
			t.Helper()
			time.Sleep(after)
			if got := s.resolved(t.Context(), "https://a.test/app.js", ""); strings.HasPrefix(got, "payNow") != found {
				t.Errorf("the frame is %s", got)
			}
		}
		step(0, false)
		writeFile(t, path, shopMap)
		step(failureKeptFor/2, false)
		step(failureKeptFor, true)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		step(keptFor/2, true)
		step(keptFor, false)
	})
}

func TestSourceMapsThatNeedTooMuchMemoryAreForgottenOrNotRead(t *testing.T) {
	dir := t.TempDir()
	for i := range 10 {
		writeFile(t, filepath.Join(dir, fmt.Sprint(i, ".js.map")), shopMap)
	}
	writeFile(t, filepath.Join(dir, "large.js.map"), `{"mappings":"`+strings.Repeat(";", 500)+`"}`)
	s, reg := mapsOf(t, func(c *SourceMapsConfig) {
		c.Locations = []LocationConfig{{MinifiedPathPrefix: "https://a.test/", Path: dir}}
	})
	s.max = 4000
	for i := range 10 {
		if got := s.resolved(t.Context(), fmt.Sprintf("https://a.test/%d.js", i), ""); !strings.HasPrefix(got, "payNow") {
			t.Errorf("the frame is %s", got)
		}
		if s.size > s.max {
			t.Errorf("%d bytes are kept", s.size)
		}
	}
	if kept := otlptest.Counter(t, reg, "faro_receiver_sourcemap_cache_size", ""); kept < 2 || kept > 8 || int(kept) != s.used.Len() {
		t.Errorf("%v source maps are kept, of %d results", kept, s.used.Len())
	}
	if _, _, err := s.load(t.Context(), mapKey{"https://a.test/large.js", ""}); err == nil {
		t.Error("a source map that needs too much memory is read")
	}
}

// scripts serves scripts and their source maps.
func scripts(t *testing.T, requests *atomic.Int64) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	serve := func(path, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			requests.Add(1)
			_, _ = io.WriteString(w, text)
		})
	}
	serve("/js/app.js", "f();\n//# sourceMappingURL=app.js.map\n")
	serve("/js/app.js.map", shopMap)
	serve("/js/inline.js", "f();\n//@ sourceMappingURL=data:application/json;charset=utf-8;base64,"+base64.StdEncoding.EncodeToString([]byte(shopMap)))
	serve("/js/none.js", "f();\n//# sourceMappingURL=app.js.map\nmore()")
	serve("/js/outside.js", "f();\n//# sourceMappingURL=http://elsewhere.test/app.js.map\n")
	serve("/js/large.js", strings.Repeat("x", 1<<20))
	mux.Handle("/js/redirected.js", http.RedirectHandler("/admin", http.StatusFound))
	serve("/admin", "f();\n//# sourceMappingURL=/js/app.js.map\n")
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestSourceMapsAreDownloadedFromAllowedOrigins(t *testing.T) {
	var requests atomic.Int64
	server := scripts(t, &requests)
	s, reg := mapsOf(t, func(c *SourceMapsConfig) {
		c.Download, c.DownloadFromOrigins = true, []string{server.URL + "/js/"}
	})
	s.download.max = 1 << 19
	for script, want := range map[string]string{
		"/js/app.js":        "payNow (" + server.URL + "/js/src/pay.ts:10:4)",
		"/js/inline.js":     "payNow (" + server.URL + "/js/src/pay.ts:10:4)",
		"/js/none.js":       "",
		"/js/outside.js":    "",
		"/js/redirected.js": "",
		"/js/absent.js":     "",
		"/js/large.js":      "",
		"/admin":            "",
	} {
		if want == "" {
			want = " (m|" + server.URL + script + ":1:5)"
		}
		if got := s.resolved(t.Context(), server.URL+script, ""); got != want {
			t.Errorf("%s is %s, want %s", script, got, want)
		}
	}
	before := requests.Load()
	s.resolved(t.Context(), server.URL+"/js/app.js", "")
	if n := requests.Load() - before; n != 0 {
		t.Errorf("a source map that is kept causes %d requests", n)
	}
	for status, want := range map[string]float64{"200": 6, "404": 1, "?": 1} {
		if got := otlptest.Counter(t, reg, "faro_receiver_sourcemap_downloads_total", status); got != want {
			t.Errorf("%v downloads have the status %s, want %v", got, status, want)
		}
	}
}

func TestWithoutDownloadNothingIsRequested(t *testing.T) {
	var requests atomic.Int64
	server := scripts(t, &requests)
	to := &logstest.Sink{}
	body := `{"exceptions":[{"stacktrace":{"frames":[{"filename":"` + server.URL + `/js/app.js","lineno":1,"colno":5}]}}]}`
	for _, download := range []bool{false, true} {
		s := start(t, settings([]pipeline.LogsSink{to}, nil, func(c *Config) { c.SourceMaps.Download = download }))
		s.post(t, body)
		if asked := requests.Load() > 0; asked != download {
			t.Errorf("download = %t: %d requests", download, requests.Load())
		}
	}
	if got := labelsAndLines(to); len(got) != 2 || strings.Contains(got[0], "payNow") || !strings.Contains(got[1], "payNow") {
		t.Errorf("the lines are %q", got)
	}
}

func TestADownloadEndsAfterItsTimeout(t *testing.T) {
	blocked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-blocked }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(blocked) })
	s, reg := mapsOf(t, func(c *SourceMapsConfig) { c.Download, c.DownloadTimeout = true, 10*time.Millisecond })
	if got := s.resolved(t.Context(), server.URL+"/a.js", ""); !strings.Contains(got, "a.js:1:5") {
		t.Errorf("the frame is %s", got)
	}
	if n := otlptest.Counter(t, reg, "faro_receiver_sourcemap_downloads_total", "?"); n != 1 {
		t.Errorf("%v downloads have failed", n)
	}
}

// Payloads that need the same source map wait for one download.
func TestASourceMapIsDownloadedOnceForAll(t *testing.T) {
	var requests atomic.Int64
	server := scripts(t, &requests)
	s, _ := mapsOf(t, func(c *SourceMapsConfig) { c.Download = true })
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if got := s.resolved(t.Context(), server.URL+"/js/app.js", ""); !strings.HasPrefix(got, "payNow") {
				t.Errorf("the frame is %s", got)
			}
		})
	}
	all.Wait()
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

func TestOriginsAreMatchedByHostAndPath(t *testing.T) {
	for _, c := range []struct {
		origin, script string
		want           bool
	}{
		{"*", "https://a.test/x.js", true},
		{"*", "ftp://a.test/x.js", false},
		{"*", "https://user@a.test/x.js", false},
		{"https://a.test", "https://a.test/x.js", true},
		{"https://a.test", "https://a.test", true},
		{"https://a.test", "https://a.test:8443/x.js", true},
		{"https://a.test:1", "https://a.test:2/x.js", false},
		{"https://a.test", "http://a.test/x.js", false},
		{"https://a.test", "https://a.test.evil.test/x.js", false},
		{"https://*.a.test", "https://b.a.test/x.js", true},
		{"https://*.a.test", "https://evil.test/x.a.test/", false},
		{"https://a.test/js/", "https://a.test/js/x.js", true},
		{"https://a.test/js/", "https://a.test/css/x.js", false},
		{"https://?.test", "https://a.test/x.js", true},
		{"https://?.test", "https://aa.test/x.js", false},
	} {
		d := &downloader{origins: []string{c.origin}}
		if got := d.allowed(c.script); got != c.want {
			t.Errorf("%s of %s: %t", c.script, c.origin, got)
		}
	}
}
