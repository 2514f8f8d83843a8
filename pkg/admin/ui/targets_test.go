package ui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/inspect"

	"github.com/prometheus/prometheus/model/labels"
)

// stock is an Inventory for tests.
type stock struct {
	targets    []inspect.ScrapeTarget
	tails      []inspect.LogTail
	engines    []inspect.Engine
	containers []inspect.Container
	unlisted   map[string]string
	rules      []inspect.Relabeling
	answer     inspect.Response
	err        error
	asked      []string
}

func (s *stock) ScrapeTargets() []inspect.ScrapeTarget {
	return append([]inspect.ScrapeTarget{}, s.targets...)
}
func (s *stock) LogTails() []inspect.LogTail       { return append([]inspect.LogTail{}, s.tails...) }
func (s *stock) Engines() []inspect.Engine         { return s.engines }
func (s *stock) Containers() []inspect.Container   { return s.containers }
func (s *stock) Unlisted() map[string]string       { return s.unlisted }
func (s *stock) Relabelings() []inspect.Relabeling { return s.rules }
func (s *stock) Fetch(_ context.Context, component, id string) (inspect.Response, bool, error) {
	s.asked = append(s.asked, component+" "+id)
	return s.answer, true, s.err
}

// newStock has n scrape targets and m tails, with secrets in all places where
// one can be.
func newStock(n, m int) *stock {
	s := &stock{unlisted: map[string]string{"stopped": "it does not run (exited)"}}
	for i := range n {
		state, failure := "up", ""
		if i%10 == 3 {
			state, failure = "down", "Get \"http://u:hunter2planted@h/metrics?token=hunter2planted\": connection refused"
		}
		name := fmt.Sprintf("shop-service-%04d-1", i)
		meta := []string{"__address__", fmt.Sprintf("10.0.%d.%d:8080", i/256, i%256), containerName, "/" + name, containerID, fmt.Sprintf("id%060d", i),
			"__meta_docker_container_label_api_key", "hunter2planted", "__param_token", "hunter2planted"}
		for j := range 30 {
			meta = append(meta, fmt.Sprintf("__meta_docker_container_label_com_example_%d", j), strings.Repeat("long ", 20))
		}
		s.targets = append(s.targets, inspect.ScrapeTarget{
			Component: "prometheus.scrape.containers", ID: fmt.Sprintf("%016x", i), Job: "containers", URL: fmt.Sprintf("http://u:hunter2planted@10.0.%d.%d:8080/metrics?token=hunter2planted&a=b", i/256, i%256),
			State: state, Error: failure, LastScrape: time.Now().Add(-time.Duration(i) * time.Millisecond), Took: time.Duration(i) * time.Millisecond, Samples: 10 * i, Interval: "15s",
			Labels:     labels.FromStrings("instance", name, "job", "containers", "container", name, "compose_project", "shop", "compose_service", "service-with-a-long-name", "secret_label", "hunter2planted"),
			Discovered: labels.FromStrings(meta...),
		})
		s.containers = append(s.containers, inspect.Container{ID: fmt.Sprintf("id%060d", i), Name: name, Project: "shop", Service: fmt.Sprintf("service-%04d", i/2)})
	}
	for i := range m {
		t := inspect.LogTail{
			Component: "loki.source.docker.all", ID: fmt.Sprintf("id%060d", i), Container: fmt.Sprintf("shop-service-%04d-1", i), State: "reading", Lines: uint64(i), Bytes: uint64(i) << 10,
			Labels: map[string]map[string]string{"stdout": {"container": "shop", "password": "hunter2planted"}, "stderr": {"container": "shop"}}, Cursor: time.Now(), LagSeconds: float64(i) / 10,
		}
		if i%100 == 7 {
			t.State, t.Error, t.ErrorAt = "waiting to connect", "http://x:hunter2planted@host failed", time.Now()
		}
		s.tails = append(s.tails, t)
	}
	return s
}

func having(s *stock) func(*Options) { return func(o *Options) { o.Inventory = s } }

func listed[T any](t *testing.T, u *testUI, path string) (p Paged[T]) {
	t.Helper()
	if err := json.Unmarshal([]byte(get(t, u, path)), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPagesWithThousandsOfTargetsStaySmall(t *testing.T) {
	s := newStock(2000, 1000)
	s.rules = []inspect.Relabeling{relabelToy(s)}
	u := newTestUI(t, small, having(s))
	for _, path := range []string{
		"/", "/targets", "/targets?page=10&sort=-samples", "/targets?q=service-0123", "/targets?q=nothing", "/targets?state=down", "/targets/logs", "/targets/logs?sort=-lag",
		"/targets/prometheus.scrape.containers/0000000000000003", "/relabel", "/relabel?q=service-19", "/relabel?state=dropped&page=3", "/relabel?q=stopped",
		"/relabel/discovery.relabel.toy/" + inputID(s.targets[3].Discovered),
	} {
		page := get(t, u, path)
		checkPage(t, path, page)
		if len(page) > maxPage {
			t.Errorf("%s has %d bytes", path, len(page))
		}
		if path != "/" {
			text := get(t, u, "/api/v1"+path)
			if !json.Valid([]byte(text)) {
				t.Errorf("%s: no JSON", path)
			}
		}
	}
}

func TestTargetsAreFilteredSortedAndPaged(t *testing.T) {
	u := newTestUI(t, small, having(newStock(450, 0)))
	all := listed[targetInfo](t, u, "/api/v1/targets")
	if all.Total != 450 || all.Pages != 3 || len(all.Items) != 200 || all.Items[0].State != "down" {
		t.Errorf("%d of %d, %s first", len(all.Items), all.Total, all.Items[0].State)
	}
	if down := listed[targetInfo](t, u, "/api/v1/targets?state=down"); down.Total != 45 {
		t.Errorf("%d are down", down.Total)
	}
	if one := listed[targetInfo](t, u, "/api/v1/targets?q=SERVICE-0123"); one.Total != 1 || one.Items[0].Name != "shop-service-0123-1" {
		t.Errorf("%d found", one.Total)
	}
	if most := listed[targetInfo](t, u, "/api/v1/targets?sort=-samples&per_page=3&page=2"); len(most.Items) != 3 || most.Items[0].Samples != 4460 {
		t.Errorf("%+v", most)
	}
	if none := listed[targetInfo](t, u, "/api/v1/targets?q=hunter2planted"); none.Total != 0 {
		t.Error("a secret can be found by a filter")
	}
	if other := listed[targetInfo](t, u, "/api/v1/targets?component=other"); other.Total != 0 {
		t.Errorf("%d of another component", other.Total)
	}
}

func TestTailsAreFilteredSortedAndPaged(t *testing.T) {
	u := newTestUI(t, small, having(newStock(0, 300)))
	all := listed[inspect.LogTail](t, u, "/api/v1/targets/logs")
	if all.Total != 300 || all.Items[0].Error == "" {
		t.Errorf("%d, first %+v", all.Total, all.Items[0])
	}
	if lag := listed[inspect.LogTail](t, u, "/api/v1/targets/logs?sort=-lag"); lag.Items[0].LagSeconds != 29.9 {
		t.Errorf("%+v", lag.Items[0])
	}
	if failing := listed[inspect.LogTail](t, u, "/api/v1/targets/logs?state=failing"); failing.Total != 3 {
		t.Errorf("%d fail", failing.Total)
	}
	if one := listed[inspect.LogTail](t, u, "/api/v1/targets/logs?q=0042"); one.Total != 1 || one.Items[0].Labels["stdout"]["password"] != "(secret)" {
		t.Errorf("%+v", one)
	}
}

func TestATargetIsAskedOnDemandOnly(t *testing.T) {
	s := newStock(5, 0)
	s.answer = inspect.Response{Status: "200 OK", ContentType: "text/plain", Body: "a{b=\"<script>alert(1)</script>\"} 1\n" + strings.Repeat("<", 1<<20)}
	u := newTestUI(t, small, having(s))
	path := "/targets/prometheus.scrape.containers/0000000000000001"
	if page := get(t, u, path); len(s.asked) != 0 || !strings.Contains(page, `action="`+path+`/response"`) {
		t.Errorf("asked %v", s.asked)
	}
	w := u.ask("POST", path+"/response")
	checkPage(t, path, w.Body.String())
	if w.Code != 200 || len(s.asked) != 1 || !strings.Contains(w.Body.String(), "&lt;script&gt;") || w.Body.Len() > maxPage {
		t.Errorf("%d, asked %v, %d bytes", w.Code, s.asked, w.Body.Len())
	}
	var answer targetAnswer
	if w := u.ask("POST", "/api/v1"+path+"/response"); json.Unmarshal(w.Body.Bytes(), &answer) != nil || answer.Response == nil || answer.Response.Body != s.answer.Body {
		t.Error("the API does not give all of the answer")
	}
	s.err = errors.New(`Get "http://u:hunter2planted@h/?token=hunter2planted": refused`)
	if page := u.ask("POST", path+"/response").Body.String(); !strings.Contains(page, "refused") || strings.Contains(page, planted) {
		t.Errorf("%s", page)
	}
	for method, path := range map[string]string{"GET": path + "/response", "POST": "/targets/prometheus.scrape.containers/http:%2F%2Fevil/response"} {
		if w := u.ask(method, path); w.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d", method, path, w.Code)
		}
	}
	if len(s.asked) != 3 {
		t.Errorf("asked %v", s.asked)
	}
	u.asking.Add(maxAsking)
	if page := u.ask("POST", path+"/response").Body.String(); len(s.asked) != 3 || !strings.Contains(page, "try again") {
		t.Error("there is no bound to requests at once")
	}
}

func TestTargetsAreAskedAtABoundedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStock(5, 0)
		u := newTestUI(t, small, having(s))
		const path = "/targets/prometheus.scrape.containers/0000000000000001/response"
		for range 2 * maxAsks {
			u.ask("POST", path)
		}
		if page := u.ask("POST", path).Body.String(); len(s.asked) != maxAsks || !strings.Contains(page, "try again") {
			t.Errorf("asked %d times", len(s.asked))
		}
		time.Sleep(askWindow)
		if u.ask("POST", path); len(s.asked) != maxAsks+1 {
			t.Error("not asked again later")
		}
	})
}

func TestSecretsInTexts(t *testing.T) {
	for text, want := range map[string]string{
		"http://h/?format=b&token=x&type=d":             "http://h/?format=b&token=(secret)&type=d",
		`{"url":"http://u:p@h/?format=b\u0026token=x"}`: `{"url":"http://u:(secret)@h/?format=b\u0026token=(secret)"}`,
		"api_key=1 is no parameter":                     "api_key=1 is no parameter",
		"two /?password=1 and /?secret=2":               "two /?password=(secret) and /?secret=(secret)",
	} {
		if got := shownURL(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func BenchmarkPages(b *testing.B) {
	s := newStock(2000, 1000)
	s.rules = []inspect.Relabeling{relabelToy(s)}
	u := newTestUI(b, small, having(s))
	for _, path := range []string{"/", "/targets", "/targets?q=service-01", "/targets/logs", "/relabel", "/api/v1/overview", "/api/v1/targets?per_page=10000"} {
		b.Run(path, func(b *testing.B) {
			size := 0
			for b.Loop() {
				size = u.ask("GET", path).Body.Len()
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// However many rows are asked for, and however long what they show, a page
// stays small, while JSON has all.
func TestPagesStaySmall(t *testing.T) {
	s := newStock(2000, 2000)
	long := strings.Repeat("<a long & quoted 'value'> ", 40)
	for i := range s.targets {
		pairs := []string{"container", long}
		for j := range 12 {
			pairs = append(pairs, fmt.Sprintf("a_label_with_a_long_name_%d", j), long)
		}
		s.targets[i].Labels = labels.FromStrings(pairs...)
		s.targets[i].Discovered = labels.FromStrings(append(pairs, containerName, long, "__address__", long)...)
		s.targets[i].Job, s.targets[i].Error, s.targets[i].State = long, long, "down"
		s.targets[i].URL = "http://host/" + long
	}
	for i := range s.tails {
		s.tails[i].Container, s.tails[i].Error = long, long
		s.tails[i].Labels = map[string]map[string]string{"stdout": {}, "stderr": {}}
		for j := range 12 {
			s.tails[i].Labels["stdout"][fmt.Sprintf("a_label_with_a_long_name_%d", j)] = long
		}
	}
	s.rules = []inspect.Relabeling{relabelToy(s)}
	u := newTestUI(t, small, having(s))
	for _, path := range []string{"/", "/targets", "/targets/logs", "/relabel"} {
		for _, query := range []string{"", "?per_page=10000", "?per_page=10000&q=long"} {
			if size := len(get(t, u, path+query)); size > 500<<10 {
				t.Errorf("%s%s has %d KiB", path, query, size>>10)
			}
		}
	}
	if all := listed[targetInfo](t, u, "/api/v1/targets?per_page=10000"); len(all.Items) != 2000 {
		t.Errorf("JSON has %d of 2,000 targets", len(all.Items))
	}
}
