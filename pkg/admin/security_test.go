package admin

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"collector/pkg/graph"
)

// newUIServer is a server with a UI over an empty graph.
func newUIServer(t *testing.T, p *program, change func(*Options)) http.Handler {
	t.Helper()
	s := newServer(p)
	controller := graph.New(graph.Options{})
	t.Cleanup(func() { controller.Stop(0) })
	s.options.Source, s.options.Version = controller, "v9"
	if change != nil {
		change(&s.options)
	}
	return s.Handler()
}

func ask(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEveryAnswerForbidsFramesAndForeignScript(t *testing.T) {
	h := newUIServer(t, &program{}, nil)
	for _, path := range []string{"/", "/graph", "/nothing", "/metrics", "/-/ready", "/api/v1/components", "/assets/app.js", "/debug/pprof/"} {
		header := ask(h, "GET", path).Header()
		policy := header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'self'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") ||
			header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, header)
		}
	}
}

func TestOnlyOwnPagesChangeAnything(t *testing.T) {
	const browser = "Mozilla/5.0"
	for name, test := range map[string]struct {
		method, path string
		headers      []string
		allowed      bool
	}{
		"curl":                          {"POST", "/-/reload", nil, true},
		"curl by name":                  {"POST", "/-/reload", []string{"Host", "collector.example.com:12345"}, true},
		"curl by GET":                   {"GET", "/-/reload", nil, true},
		"own page":                      {"POST", "/-/reload", []string{"Host", "10.0.0.1:12345", "Origin", "http://10.0.0.1:12345"}, true},
		"own page by a Compose name":    {"POST", "/configuration/reload", []string{"Host", "collector:12345", "Origin", "http://collector:12345", "User-Agent", browser}, true},
		"own page behind a proxy":       {"POST", "/api/v1/reload", []string{"Host", "upstream:80", "Origin", "https://collector.example.com", "Sec-Fetch-Site", "same-origin"}, true},
		"own page by an allowed name":   {"POST", "/-/reload", []string{"Host", "ui.example.com", "Origin", "http://ui.example.com"}, true},
		"address bar":                   {"GET", "/-/reload", []string{"Host", "localhost:12345", "User-Agent", browser, "Sec-Fetch-Site", "none"}, true},
		"foreign page":                  {"POST", "/-/reload", []string{"Host", "10.0.0.1:12345", "Origin", "http://evil.example"}, false},
		"foreign page, no origin given": {"POST", "/-/reload", []string{"Host", "10.0.0.1:12345", "Origin", "null"}, false},
		"foreign page by GET":           {"GET", "/-/reload", []string{"Sec-Fetch-Site", "cross-site"}, false},
		"foreign page by GET, referrer": {"GET", "/-/reload", []string{"Host", "10.0.0.1:12345", "Referer", "http://evil.example/x"}, false},
		"page on another port":          {"POST", "/-/reload", []string{"Host", "localhost:12345", "Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, false},
		"rebound name":                  {"POST", "/-/reload", []string{"Host", "evil.example:12345", "Origin", "http://evil.example:12345"}, false},
		"rebound name by GET":           {"GET", "/-/reload", []string{"Host", "evil.example:12345", "User-Agent", browser}, false},
		"foreign page, API":             {"POST", "/api/v1/reload", []string{"Origin", "http://evil.example"}, false},
		"foreign page, below prefix":    {"POST", "/pre/-/reload", []string{"Origin", "http://evil.example"}, false},
	} {
		p := &program{}
		h := newUIServer(t, p, func(o *Options) { o.AllowedHosts, o.Prefix = []string{"ui.example.com"}, "/pre" })
		w := ask(h, test.method, test.path, test.headers...)
		if refused := w.Code == http.StatusForbidden; refused == test.allowed || (p.reloads == 1) != test.allowed {
			t.Errorf("%s: status %d, %d reloads: %s", name, w.Code, p.reloads, w.Body)
		}
	}
}

func TestThePrefixIsServedWithAndWithoutIt(t *testing.T) {
	h := newUIServer(t, &program{ready: true}, func(o *Options) { o.Prefix = "/a/b" })
	for path, status := range map[string]int{
		"/a/b/": 200, "/a/b/graph": 200, "/a/b/assets/style.css": 200, "/a/b/api/v1/graph": 200, "/a/b/-/ready": 200, "/a/b/-/reload": 200,
		"/": 200, "/graph": 200, "/-/ready": 200, "/metrics": 200,
		"/a/b": 307, "/a/bc": 404, "/a/": 404,
	} {
		if w := ask(h, "GET", path); w.Code != status {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
	}
	if to := ask(h, "GET", "/a/b").Header().Get("Location"); to != "/a/b/" {
		t.Errorf("the prefix leads to %q", to)
	}
}

func TestPrefixesAreCleaned(t *testing.T) {
	for in, want := range map[string]string{"/": "", "": "", "/x": "/x", "x/": "/x", "/a/b/": "/a/b"} {
		if got, err := CleanPrefix(in); got != want || err != nil {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	for _, in := range []string{"/a//b", "/a/../b", "/a b", "/\"", "http://x/"} {
		if got, err := CleanPrefix(in); err == nil {
			t.Errorf("%q gives %q", in, got)
		}
	}
}

func TestAnswersAreCompressedForThoseWhoTakeIt(t *testing.T) {
	h := newUIServer(t, &program{}, nil)
	for _, path := range []string{"/", "/assets/style.css", "/api/v1/overview"} {
		plain := ask(h, "GET", path)
		w := ask(h, "GET", path, "Accept-Encoding", "br, gzip;q=0.5")
		if w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Vary") != "Accept-Encoding" || w.Header().Get("Content-Length") != "" {
			t.Errorf("%s: %v", path, w.Header())
			continue
		}
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(z); err != nil || string(text) != plain.Body.String() {
			t.Errorf("%s: %v, or another text", path, err)
		}
	}
	for _, encoding := range []string{"", "br", "gzip;q=0", "gzip; q=0.0"} {
		if w := ask(h, "GET", "/", "Accept-Encoding", encoding); w.Header().Get("Content-Encoding") != "" {
			t.Errorf("%q: compressed", encoding)
		}
	}
	tag := ask(h, "GET", "/assets/app.js", "Accept-Encoding", "gzip").Header().Get("ETag")
	if w := ask(h, "GET", "/assets/app.js", "Accept-Encoding", "gzip", "If-None-Match", tag); w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("%s: %d, %d bytes", tag, w.Code, w.Body.Len())
	}
}

func TestTheUIHasAlloysPaths(t *testing.T) {
	h := newUIServer(t, &program{}, nil)
	if w := ask(h, "GET", "/api/v0/web/components"); w.Code != 200 || strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/api/v0/web/components/nobody"); w.Code != 404 {
		t.Errorf("%d", w.Code)
	}
	if w := ask(h, "DELETE", "/-/reload"); w.Code != 405 {
		t.Errorf("%d", w.Code)
	}
}
