package program

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"collector/test/harness"
)

// planted is the beginning of all secrets of the test, so that not one is
// overlooked.
const planted = "PLANTED"

// secretiveConfig is a configuration with a secret wherever there can be one. The
// destinations answer with the credentials that they were given, so that those
// are in error messages too.
//
//go:embed secretive.alloy
var secretiveConfig string

// secretive fills it in.
func secretive(t *testing.T, backend, file string, otlp, profiles int) string {
	t.Helper()
	var b strings.Builder
	if err := template.Must(template.New("secretive").Parse(secretiveConfig)).Execute(&b, map[string]any{
		"Host": strings.TrimPrefix(backend, "http://"), "File": file, "OTLP": otlp, "Profiles": profiles,
	}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// gossip answers everything with the credentials that came with it.
func gossip(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/metrics") {
			fmt.Fprintf(w, "# asked with %s, %s at %s\na_number 1\n", r.Header.Get("Authorization"), r.Header.Get("X-Api-Key"), r.URL)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "no entry for %s with the keys %s, %s at %s", r.Header.Get("Authorization"), r.Header.Get("X-Api-Key"), r.Header.Get("X-Honeycomb-Team"), r.URL)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestNoPageShowsASecret(t *testing.T) {
	backend := gossip(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("PLANTED-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	otlp, profiles := harness.FreePort(t), harness.FreePort(t)
	text := secretive(t, backend.URL, file, otlp, profiles)
	c := harness.NewCollector(t, text, "PLANTED_SECRET=PLANTED-environment")
	c.Start(t, "--explore.memory=4MiB")
	spans := harness.StartSender(t, time.Second, harness.SpanSender(t, harness.Address(otlp)))
	uploads := harness.StartSender(t, time.Second, harness.ProfileSender("http://"+harness.Address(profiles)))
	harness.Eventually(t, 30*time.Second, func() error {
		if _, body := status(t, c.URL+"/api/v1/targets"); !strings.Contains(body, `"down"`) || !strings.Contains(body, `"lastScrape":"2`) {
			return fmt.Errorf("nothing is scraped yet: %s", body)
		}
		return allFail(t, c.URL)
	})
	visited := crawl(t, c)
	// After a failed reload, the file that failed is shown too.
	c.Configure(t, text+"\nloki.wriite \"y\" { password = \"PLANTED-broken\" }\n"+misspelt)
	if code, body := c.Reload(t); code != http.StatusBadRequest || strings.Contains(body, planted) {
		t.Errorf("the reload is answered %d: %s", code, around(body))
	}
	visited = append(visited, crawl(t, c)...)
	for _, page := range []string{"/graph", "/targets", "/relabel", "/stages", "/configuration", "/component/loki.write.x", "/api/v1/components/prometheus.remote_write.x", "/-/support"} {
		if !slices.Contains(visited, page) {
			t.Errorf("%s was not visited, of %d pages", page, len(visited))
		}
	}
	if !slices.ContainsFunc(visited, func(path string) bool { return methodOf(path) == http.MethodPost && !strings.HasPrefix(path, "/api/") }) {
		t.Error("no target's answer was looked at")
	}
	spans.Stop()
	uploads.Stop()
	c.Stop(t)
	if log := c.Output(); strings.Contains(log, planted+"-") {
		t.Errorf("the log shows a secret: %s", around(log))
	} else if !strings.Contains(log, "scrape failed") || !strings.Contains(log, "no entry for") {
		t.Errorf("the log has nothing of the failures:\n%s", log)
	}
}

// misspelt is a block of which an argument is meant to hold a secret.
const misspelt = `
loki.write "z" {
	endpoint {
		url = "http://127.0.0.1:1/loki/api/v1/push?key=PLANTED-broken-key"
		basic_auth {
			username = "user"
			passwrd  = "PLANTED-misspelt"
		}
		headers = { "x-honeycomb-team" = "PLANTED-broken-team", }}
}
`

// The messages of validate quote the lines that they are about; fmt writes the
// file as it is.
func TestValidateShowsNoSecretAndFmtLeavesAll(t *testing.T) {
	text := secretive(t, "http://127.0.0.1:1", "/nowhere", 4317, 4040)
	for name, more := range map[string]string{
		"misspelt argument":     strings.Replace(misspelt, "}}", "}\n\t}", 1),
		"syntax":                misspelt + "}",
		"wrong types":           "loki.write \"z\" {\n\tendpoint {\n\t\turl = 5\n\t\theaders = [\"PLANTED-list\"]\n\t\tbasic_auth = \"PLANTED-pair\"\n\t}\n}\n",
		"outside of any block":  "passwrd = \"PLANTED-outside\"\n",
		"misspelt in a header":  "loki.write \"z\" {\n\tendpoint {\n\t\turl = \"http://h/\"\n\t\theaders = {\n\t\t\t\"x-honeycomb-team\" = PLANTED-unquoted,\n\t\t}\n\t}\n}\n",
		"replacement of a rule": "discovery.relabel \"z\" {\n\ttargets = []\n\trule {\n\t\ttarget_label = \"__param_access_token\"\n\t\treplacement = \"PLANTED-rule\" + 5\n\t}\n}\n",
	} {
		c := harness.NewCollector(t, text+more)
		p := c.Command(t, "validate", c.Config())
		if <-p.Done(); p.ExitCode() == 0 {
			t.Errorf("%s: accepted", name)
		}
		if out := p.Output(); strings.Contains(out, planted) {
			t.Errorf("%s: validate shows a secret: %s", name, around(out))
		}
	}
	c := harness.NewCollector(t, text)
	p := c.Command(t, "fmt", c.Config())
	if <-p.Done(); p.ExitCode() != 0 {
		t.Fatal(p.Output())
	}
	if out := p.Output(); strings.Count(out, planted) != strings.Count(text, planted) || strings.Contains(out, "(secret)") {
		t.Errorf("fmt has changed what it formats: %s", out)
	}
}

// allFail reports which destination, of those that get something, has not failed.
func allFail(t *testing.T, url string) error {
	_, body := status(t, url+"/api/v1/overview")
	var overview struct {
		Destinations []struct{ Component, LastError string }
	}
	if err := json.Unmarshal([]byte(body), &overview); err != nil {
		return err
	}
	failed := map[string]bool{}
	for _, d := range overview.Destinations {
		failed[d.Component] = failed[d.Component] || d.LastError != ""
	}
	for _, component := range []string{"prometheus.remote_write.x", "otelcol.exporter.otlphttp.x", "otelcol.exporter.otlp.x", "pyroscope.write.x", "loki.write.x"} {
		if !failed[component] {
			return fmt.Errorf("%s has not failed yet: %s", component, body)
		}
	}
	return nil
}

var links = regexp.MustCompile(`(?:href|src|action|data-[a-z]+)="([^"]+)"`)

// crawl visits everything that pages link to, and what no page links to, and fails the
// test for each that has a secret in it. It returns the paths.
func crawl(t *testing.T, c *harness.Collector) (paths []string) {
	t.Helper()
	queue := []string{"/", "/metrics", "/-/ready", "/-/healthy", "/api/v0/web/components", "/api/v0/web/peers", "/api/v1/components?per_page=10000", "/api/v1/targets?per_page=10000", "/api/v1/targets/logs", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap", "/live/events", "/api/v1/live/events"}
	for _, id := range []string{"prometheus.scrape.x", "prometheus.remote_write.x", "loki.process.x", "loki.write.x", "otelcol.receiver.otlp.x", "otelcol.exporter.otlphttp.x", "otelcol.exporter.otlp.x", "discovery.relabel.x", "discovery.docker.x", "discovery.relabel.put_on_one", "prometheus.scrape.put", "pyroscope.receive_http.x", "pyroscope.write.x", "explore.sink.x"} {
		queue = append(queue, "/component/"+id, "/api/v0/web/components/"+id, "/api/v1/components/"+id)
	}
	seen := map[string]bool{}
	client := &http.Client{Timeout: 20 * time.Second}
	for len(queue) > 0 && len(seen) < 500 {
		path := queue[0]
		queue = queue[1:]
		path, _, _ = strings.Cut(path, "#")
		if at, _, query := strings.Cut(path, "?"); query && strings.HasSuffix(at, "/events") {
			path = at // which has everything that flows
		}
		if seen[path] || !strings.HasPrefix(path, "/") {
			continue
		}
		seen[path] = true
		request, err := http.NewRequest(methodOf(path), c.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(request)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		body := readSome(t, path, resp)
		paths = append(paths, resp.Request.URL.Path)
		for name, text := range unpacked(t, resp, body) {
			if strings.Contains(text, planted+"-") {
				t.Errorf("%s%s shows a secret: %s", path, name, around(text))
			}
		}
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			for _, link := range links.FindAllStringSubmatch(string(body), -1) {
				at, err := resp.Request.URL.Parse(html.UnescapeString(link[1]))
				if err == nil && at.Host == resp.Request.URL.Host {
					queue = append(queue, at.RequestURI())
					if methodOf(at.Path) == http.MethodPost {
						queue = append(queue, "/api/v1"+at.RequestURI())
					}
				}
			}
		}
	}
	return paths
}

// readSome reads an answer: of a stream, which does not end, what comes in a few
// seconds.
func readSome(t *testing.T, path string, resp *http.Response) []byte {
	t.Helper()
	defer resp.Body.Close()
	stream := strings.HasSuffix(path, "/events")
	if stream {
		defer time.AfterFunc(5*time.Second, func() { resp.Body.Close() }).Stop()
	}
	body, _ := io.ReadAll(resp.Body)
	for _, want := range []string{`"signal":"metrics"`, `"signal":"traces"`} {
		if stream && !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s has nothing with %s: %s", path, want, body)
		}
	}
	return body
}

// methodOf is the method for a path: a target's answer is fetched by POST.
func methodOf(path string) string {
	if strings.HasSuffix(path, "/response") {
		return http.MethodPost
	}
	return http.MethodGet
}

// unpacked is an answer as texts: as it is and as a URL's reader sees it;
// of an archive, each file.
func unpacked(t *testing.T, resp *http.Response, body []byte) map[string]string {
	t.Helper()
	if resp.Header.Get("Content-Type") != "application/zip" {
		body = gunzipped(t, body)
		plain, err := url.QueryUnescape(string(body))
		if err != nil {
			plain = ""
		}
		return map[string]string{"": string(body), " (unescaped)": plain}
	}
	archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		texts[" "+f.Name] = string(gunzipped(t, text))
	}
	if len(texts) < 5 {
		t.Errorf("the bundle has %d files", len(texts))
	}
	return texts
}

// gunzipped is what is in data if that is compressed, as profiles are.
func gunzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	if !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return data
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil || len(plain) == 0 {
		t.Fatalf("%d bytes: %v", len(plain), err)
	}
	return plain
}

// around is the text before and after the first secret.
func around(text string) string {
	at := strings.Index(text, planted)
	if at < 0 {
		return ""
	}
	return text[max(0, at-100):min(len(text), at+60)]
}
