package main

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Every secret that is planted begins with this.
const plantedSecret = "hunter2planted"

const secretive = `
logging { level = "debug" }

prometheus.scrape "self" {
	targets = [
		{"__address__" = "ADDRESS", "__param_token" = "hunter2planted-param", "__api_key" = "hunter2planted-label", "__meta_docker_container_label_db_password" = "hunter2planted-meta"},
		{"__address__" = "127.0.0.1:1", "__param_token" = "hunter2planted-param"},
	]
	params          = {"secret" = ["hunter2planted-query"]}
	scrape_interval = "1s"
	scrape_timeout  = "500ms"
	basic_auth {
		username = "me"
		password = "hunter2planted-basic"
	}
	http_headers = {"X-Api-Key" = ["hunter2planted-header"]}
	forward_to   = [prometheus.remote_write.out.receiver]
}

discovery.relabel "some" {
	targets = [{"__address__" = "x:1", "password" = "hunter2planted-input", "name" = "x"}]
	rule {
		source_labels = ["password"]
		target_label  = "copy_of_it"
	}
	rule {
		source_labels = ["name"]
		regex         = "y"
		action        = "keep"
	}
}

prometheus.remote_write "out" {
	endpoint {
		url          = "http://user:hunter2planted-url@127.0.0.1:1/write?token=hunter2planted-parameter"
		bearer_token = sys.env("COLLECTOR_TEST_TOKEN")
	}
}

loki.write "out" {
	endpoint {
		url       = "http://127.0.0.1:1/push"
		tenant_id = "t"
		authorization { credentials = "hunter2planted-credentials" }
	}
}

otelcol.exporter.otlphttp "out" {
	client {
		endpoint = "http://user:hunter2planted-otlp@127.0.0.1:1"
		headers  = {"Authorization" = "Bearer hunter2planted-bearer"}
	}
}

pyroscope.write "out" {
	endpoint {
		url     = "http://127.0.0.1:1"
		headers = {"X-Token" = "hunter2planted-profiles"}
	}
}
`

var hrefs = regexp.MustCompile(`(?:href|action)="(/[^"#]*)`)

// TestNoSecretIsShown looks for planted secrets on every page that can be
// reached, at every path of the API, and in the support bundle.
func TestNoSecretIsShown(t *testing.T) {
	t.Setenv("COLLECTOR_TEST_TOKEN", plantedSecret+"-env")
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		fmt.Fprintf(w, "# %s %s %s\n", user, password, r.Header.Get("X-Api-Key"))
		fmt.Fprintln(w, "up_for_test 1")
	}))
	defer target.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "c.alloy")
	text := strings.ReplaceAll(secretive, "ADDRESS", target.Listener.Addr().String())
	writeFile(t, path, text)
	set, flags := newRunFlags()
	if err := set.Parse([]string{"--storage.path=" + filepath.Join(dir, "data"), "--explore.memory=1MiB"}); err != nil {
		t.Fatal(err)
	}
	p := newProgram(flags, path, io.Discard)
	defer p.graph.Stop(0)
	viewing, stop := context.WithCancel(t.Context())
	defer stop()
	go p.view.run(viewing)
	if err := p.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := &crawler{t: t, handler: p.server.Handler(), seen: map[string]bool{}}
	c.until("/targets", "1 up", "1 down")
	c.until("/api/v1/overview", "prometheus.remote_write.out", "connection refused")
	writeFile(t, path, text+"nonsense \"x\" { password = \"hunter2planted-failed\" }\n")
	if p.Reload(t.Context()) == nil {
		t.Fatal("the broken configuration was loaded")
	}
	c.crawl("/", "/api/v0/web/components", "/metrics", "/-/ready", "/-/healthy")
	for path := range c.seen {
		if !strings.HasPrefix(path, "/api/") && !strings.HasPrefix(path, "/-/") && path != "/metrics" {
			c.get("/api/v1"+strings.TrimSuffix(strings.Replace(path, "/component/", "/components/", 1), "/"), true)
		}
	}
	if len(c.seen) < 30 || c.posts == 0 || c.files < 10 {
		t.Errorf("only %d pages were seen, %d targets asked, %d files of a bundle read", len(c.seen), c.posts, c.files)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// crawler follows all links.
type crawler struct {
	t            *testing.T
	handler      http.Handler
	seen         map[string]bool
	posts, files int
}

// maxCrawled bounds the walk, which sorting and paging could make long.
const maxCrawled = 150

func (c *crawler) crawl(paths ...string) {
	for len(paths) > 0 && len(c.seen) < maxCrawled {
		path := paths[0]
		paths = paths[1:]
		if c.seen[path] || strings.HasPrefix(path, "/assets/") || strings.Contains(path, "sort=") || strings.Contains(path, "label=") {
			continue
		}
		c.seen[path] = true
		if strings.HasSuffix(path, "/response") {
			c.posts++
			c.ask(http.MethodPost, path)
			c.ask(http.MethodPost, "/api/v1"+strings.TrimPrefix(path, "/api/v1"))
			continue
		}
		if strings.HasSuffix(path, "/reload") {
			continue
		}
		for _, found := range hrefs.FindAllStringSubmatch(c.get(path, false), -1) {
			paths = append(paths, strings.ReplaceAll(strings.ReplaceAll(found[1], "&amp;", "&"), "&#34;", `"`))
		}
	}
}

// get gives the body of an answer. What is not there is only allowed to an API
// path that was guessed.
func (c *crawler) get(path string, guessed bool) string {
	c.t.Helper()
	w := c.ask(http.MethodGet, path)
	if w.Code >= 400 && !guessed && path != "/-/healthy" {
		c.t.Errorf("%s: status %d", path, w.Code)
	}
	return w.Body.String()
}

func (c *crawler) ask(method, path string) *httptest.ResponseRecorder {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Second) // streams have no end
	defer cancel()
	if _, err := url.Parse(path); err != nil {
		c.t.Fatalf("a link leads to %q: %v", path, err)
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, httptest.NewRequest(method, path, nil).WithContext(ctx))
	texts := map[string]string{"": w.Body.String()}
	if w.Header().Get("Content-Type") == "application/zip" {
		texts = c.unzip(w.Body.Bytes())
	}
	for name, text := range texts {
		if at := strings.Index(text, plantedSecret); at >= 0 {
			c.t.Errorf("%s %s %s shows a secret: …%s…", method, path, name, text[max(0, at-120):min(len(text), at+60)])
		}
	}
	return w
}

func (c *crawler) unzip(data []byte) map[string]string {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		c.t.Fatal(err)
	}
	texts := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			c.t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			c.t.Fatal(err)
		}
		texts[f.Name] = string(text)
		c.files++
	}
	return texts
}

// until waits until a path shows all of wants.
func (c *crawler) until(path string, wants ...string) {
	c.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		text, missing := c.get(path, false), ""
		for _, want := range wants {
			if !strings.Contains(text, want) {
				missing = want
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			c.t.Fatalf("%s never shows %q: %s", path, missing, text[max(0, strings.Index(text, "<main")):])
		}
	}
}
