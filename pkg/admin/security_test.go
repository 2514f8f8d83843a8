package admin

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
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
		"curl":                                {"POST", "/-/reload", nil, true},
		"curl by name":                        {"POST", "/-/reload", []string{"Host", "collector.example.com:12345"}, true},
		"curl by GET":                         {"GET", "/-/reload", nil, true},
		"own page":                            {"POST", "/-/reload", []string{"Host", "10.0.0.1:12345", "Origin", "http://10.0.0.1:12345"}, true},
		"own page by a Compose name":          {"POST", "/configuration/reload", []string{"Host", "collector:12345", "Origin", "http://collector:12345", "User-Agent", browser}, true},
		"own page behind a proxy":             {"POST", "/api/v1/reload", []string{"Host", "upstream:80", "Origin", "https://collector.example.com", "Sec-Fetch-Site", "same-origin"}, true},
		"own page by an allowed name":         {"POST", "/-/reload", []string{"Host", "ui.example.com", "Origin", "http://ui.example.com"}, true},
		"address bar":                         {"GET", "/-/reload", []string{"Host", "localhost:12345", "User-Agent", browser, "Sec-Fetch-Site", "none"}, true},
		"foreign page":                        {"POST", "/-/reload", []string{"Host", "10.0.0.1:12345", "Origin", "http://evil.example"}, false},
		"foreign page, no origin given":       {"POST", "/-/reload", []string{"Host", "10.0.0.1:12345", "Origin", "null"}, false},
		"Promtail's path, curl by GET":        {"GET", "/reload", nil, true},
		"Promtail's path, foreign page":       {"GET", "/reload", []string{"Host", "10.0.0.1:12345", "Sec-Fetch-Site", "cross-site"}, false},
		"Promtail's path, nothing told":       {"GET", "/pre/reload", []string{"Host", "10.0.0.1:12345", "User-Agent", browser, "Accept", "image/webp,*/*"}, false},
		"foreign page by GET":                 {"GET", "/-/reload", []string{"Sec-Fetch-Site", "cross-site"}, false},
		"foreign page by GET, referrer":       {"GET", "/-/reload", []string{"Host", "10.0.0.1:12345", "Referer", "http://evil.example/x"}, false},
		"page on another port":                {"POST", "/-/reload", []string{"Host", "localhost:12345", "Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, false},
		"rebound name":                        {"POST", "/-/reload", []string{"Host", "evil.example:12345", "Origin", "http://evil.example:12345"}, false},
		"rebound name, as if by curl":         {"POST", "/-/reload", []string{"Host", "evil.example:12345", "User-Agent", "curl/8", "Accept-Language", "en"}, false},
		"rebound name by GET":                 {"GET", "/-/reload", []string{"Host", "evil.example:12345", "User-Agent", browser}, false},
		"foreign page, API":                   {"POST", "/api/v1/reload", []string{"Origin", "http://evil.example"}, false},
		"foreign page, below prefix":          {"POST", "/pre/-/reload", []string{"Origin", "http://evil.example"}, false},
		"foreign page by GET, nothing told":   {"GET", "/-/reload", []string{"Host", "10.0.0.1:12345", "User-Agent", browser, "Accept", "image/webp,*/*"}, false},
		"foreign page by GET, origin alone":   {"GET", "/-/reload", []string{"Host", "10.0.0.1:12345", "Origin", "http://evil.example"}, false},
		"own link by GET":                     {"GET", "/-/reload", []string{"Host", "10.0.0.1:12345", "Referer", "http://10.0.0.1:12345/configuration"}, true},
		"PowerShell":                          {"POST", "/-/reload", []string{"Host", "10.0.0.1:12345", "User-Agent", "Mozilla/5.0 (Windows NT) WindowsPowerShell/5.1"}, true},
		"rebound name that is its own site":   {"POST", "/-/reload", []string{"Host", "evil.example:12345", "Origin", "http://evil.example:12345", "Sec-Fetch-Site", "same-origin"}, false},
		"rebound name by GET of its own site": {"GET", "/-/reload", []string{"Host", "evil.example:12345", "Referer", "http://evil.example:12345/", "Sec-Fetch-Site", "same-origin"}, false},
	} {
		p := &program{}
		h := newUIServer(t, p, func(o *Options) {
			o.AllowedHosts, o.Prefix, o.Promtail = []string{"ui.example.com"}, "/pre", &Promtail{Reload: true}
		})
		w := ask(h, test.method, test.path, test.headers...)
		if refused := w.Code == http.StatusForbidden; refused == test.allowed || (p.reloads == 1) != test.allowed {
			t.Errorf("%s: status %d, %d reloads: %s", name, w.Code, p.reloads, w.Body)
		}
	}
}

func TestAPageOfAnotherNameReadsNothing(t *testing.T) {
	const browser = "Mozilla/5.0"
	paths := []string{"/", "/component/x", "/configuration", "/api/v1/overview", "/api/v0/web/components", "/debug/pprof/cmdline", "/-/support", "/pre/targets"}
	rebound := []string{"Host", "evil.example:12345"}
	for name, test := range map[string]struct {
		headers []string
		refused bool
	}{
		"rebound name": {[]string{"User-Agent", browser}, true},
		"rebound name, by a script that calls itself curl": {[]string{"User-Agent", "curl/8", "Accept-Language", ""}, true},
		"rebound name, as if by a proxy":                   {[]string{"User-Agent", browser, "X-Forwarded-For", "10.0.0.1", "X-Forwarded-Host", "localhost"}, true},
		"curl":                                             {nil, false},
		"address":                                          {[]string{"User-Agent", browser, "Host", "10.0.0.1:12345"}, false},
		"address of IPv6":                                  {[]string{"User-Agent", browser, "Host", "[::1]:12345"}, false},
		"Compose name":                                     {[]string{"User-Agent", browser, "Host", "collector:12345"}, false},
		"name of the local network":                        {[]string{"User-Agent", browser, "Host", "nas.lan:12345"}, false},
		"allowed name":                                     {[]string{"User-Agent", browser, "Host", "ui.example.com"}, false},
		"names of home networks":                           {[]string{"User-Agent", browser, "Host", "nas.home.arpa:12345"}, false},
		"name of a cloud's network":                        {[]string{"User-Agent", browser, "Host", "ip-10-0-0-1.eu.compute.internal"}, false},
		"localhost with a dot behind it":                   {[]string{"User-Agent", browser, "Host", "localhost.:12345"}, false},
		"rebound name with a dot behind it":                {[]string{"User-Agent", browser, "Host", "evil.example.:12345"}, true},
		"rebound name that looks like an address":          {[]string{"User-Agent", browser, "Host", "10.0.0.1.evil.example:12345"}, true},
		"rebound name, typed in":                           {[]string{"User-Agent", browser, "Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, true},
		"rebound page, which is of the same site":          {[]string{"User-Agent", browser, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}, true},
		"rebound page, as if by HTTPS":                     {[]string{"User-Agent", browser, "X-Forwarded-Proto", "https"}, true},
		"proxy that names itself":                          {[]string{"User-Agent", browser, "Host", "upstream:80", "X-Forwarded-Host", "collector.example.com"}, false},
	} {
		h := newUIServer(t, &program{ready: true}, func(o *Options) { o.AllowedHosts, o.Prefix = []string{"ui.example.com"}, "/pre" })
		host := rebound[1]
		if at := slices.Index(test.headers, "Host"); at >= 0 {
			host = test.headers[at+1]
		}
		for _, path := range paths {
			headers := append(slices.Clone(rebound), test.headers...)
			if test.headers != nil {
				headers = append(headers, "Referer", "http://"+host+"/") // by a link on a page of this name
			}
			w := ask(h, "GET", path, headers...)
			if (w.Code == http.StatusForbidden) != test.refused {
				t.Errorf("%s: %s: %d %.200q", name, path, w.Code, w.Body)
			}
			if test.refused && !strings.Contains(w.Body.String(), "--server.http.allowed-hosts="+strings.TrimSuffix(strings.TrimSuffix(host, ":12345"), ".")) {
				t.Errorf("%s: the answer does not tell what to do: %s", name, w.Body)
			}
		}
		for _, path := range []string{"/metrics", "/-/ready", "/-/healthy", "/assets/app.js", "/pre/-/ready"} {
			if w := ask(h, "GET", path, append(slices.Clone(rebound), test.headers...)...); w.Code != http.StatusOK {
				t.Errorf("%s: %s: %d", name, path, w.Code)
			}
		}
	}
}

// A container's address is not loopback, however its port is published.
func TestNamesAreCheckedOnEveryAddress(t *testing.T) {
	for _, local := range []string{"127.0.0.1", "::1", "172.17.0.2", "10.0.0.1"} {
		for name, test := range map[string]struct {
			allowed []string
			tls     *tls.ConnectionState
			refused bool
		}{
			"public name":                {nil, nil, true},
			"another name is allowed":    {[]string{"ui.example.com"}, nil, true},
			"allowed name":               {[]string{"Collector.Example.com."}, nil, false},
			"allowed name with its port": {[]string{"collector.example.com:12345"}, nil, false},
			"HTTPS":                      {nil, &tls.ConnectionState{}, false},
		} {
			h := newUIServer(t, &program{ready: true}, func(o *Options) { o.AllowedHosts = test.allowed })
			r := httptest.NewRequest("GET", "/api/v1/overview", nil)
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(local), Port: 12345}))
			r.Host, r.TLS = "collector.example.com:12345", test.tls
			r.Header.Set("User-Agent", "Mozilla/5.0")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if (w.Code == http.StatusForbidden) != test.refused {
				t.Errorf("%s on %s: %d %.200q", name, local, w.Code, w.Body)
			}
		}
	}
}

func TestTheNamesOfTheContainerAreItsOwn(t *testing.T) {
	hosts := "127.0.0.1\tlocalhost blocked.example\n::1 localhost\n# 172.17.0.2 comment.example\n172.17.0.2\tcollector.corp.example collector # own\n10.0.0.9 other.example\n"
	got := namesIn(hosts, func(ip net.IP) bool { return ip.String() == "172.17.0.2" })
	if !slices.Equal(got, []string{"collector.corp.example", "collector"}) {
		t.Errorf("%q", got)
	}
	name, err := os.Hostname()
	if err != nil || !slices.Contains(ownNames(), name) {
		t.Errorf("%q: %v is not among %q", name, err, ownNames())
	}
}

// The page of another site has no password.
func TestAPasswordAllowsAnyHostName(t *testing.T) {
	for filter, refused := range map[string]bool{"": false, "filter { paths = [\"/metrics\"] }": true} {
		l := newLoader(t)
		if err := l.load(basic("one", filter)); err != nil {
			t.Fatal(err)
		}
		h := newUIServer(t, &program{ready: true}, func(o *Options) { o.Access = l.access })
		r := httptest.NewRequest("GET", "/graph", nil)
		r.SetBasicAuth("u", "one")
		w := ask(h, "GET", "/graph", "Host", "collector.example.com", "User-Agent", "Mozilla/5.0", "Authorization", r.Header.Get("Authorization"))
		if (w.Code == http.StatusForbidden) != refused {
			t.Errorf("filter %q: %d %s", filter, w.Code, w.Body)
		}
	}
}

func TestAnotherSitesPageReadsNothingThatIsCostly(t *testing.T) {
	scripts := []string{"/api/v1/overview", "/api/v1/live/events?from=none&to=none", "/live/events?from=none&to=none", "/api/v0/web/components"}
	files := []string{"/debug/pprof/", "/debug/pprof/cmdline", "/-/support"}
	for name, test := range map[string]struct {
		headers []string
		refused bool // where answers are for scripts
		file    bool // refused where answers are files
	}{
		"script of another site":              {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"}, true, true},
		"script of another port":              {[]string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Origin", "http://localhost:3000"}, true, true},
		"frame of another site":               {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, true, true},
		"another site by an address":          {[]string{"Host", "10.0.0.1:12345", "User-Agent", "Mozilla/5.0", "Origin", "http://evil.example"}, true, true},
		"link of another site":                {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Referer", "http://wiki.example/"}, false, true},
		"link of another site, no referrer":   {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, false, true},
		"link to an address":                  {[]string{"Host", "10.0.0.1:12345", "User-Agent", "Mozilla/5.0", "Referer", "http://wiki.example/"}, false, true},
		"address bar, or a link that hides":   {[]string{"Host", "10.0.0.1:12345", "User-Agent", "Mozilla/5.0"}, false, true},
		"address bar, as the browser says":    {[]string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, false, false},
		"own script":                          {[]string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}, false, false},
		"own script by an address":            {[]string{"Host", "10.0.0.1:12345", "User-Agent", "Mozilla/5.0", "Referer", "http://10.0.0.1:12345/live"}, false, false},
		"own link, as the navigation has one": {[]string{"Host", "10.0.0.1:12345", "User-Agent", "Mozilla/5.0", "Referer", "http://10.0.0.1:12345/"}, false, false},
	} {
		h := newUIServer(t, &program{ready: true}, nil)
		headers := append([]string{"Host", "localhost:12345"}, test.headers...)
		for _, path := range append(slices.Clone(scripts), files...) {
			refused := test.refused
			if slices.Contains(files, path) {
				refused = test.file
			}
			if w := ask(h, "GET", path, headers...); (w.Code == http.StatusForbidden) != refused {
				t.Errorf("%s: %s: %d %.200q", name, path, w.Code, w.Body)
			}
		}
		if w := ask(h, "GET", "/graph", headers...); w.Code != http.StatusOK {
			t.Errorf("%s: /graph: %d %s", name, w.Code, w.Body)
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

func TestResponsesAreCompressedForClientsThatAcceptIt(t *testing.T) {
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
