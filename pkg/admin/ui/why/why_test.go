package why_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/admin/ui/uitest"
	"collector/pkg/admin/ui/why"
	"collector/pkg/cause"
	"collector/pkg/inspect"
)

// shop is a project of which one container is well, one is not scraped, one is in a
// crash loop, one does not answer and one has been removed.
func shop() *uitest.Stock {
	s := &uitest.Stock{Missing: map[string]string{"stopped": "it is not running (exited)"}}
	var inputs []labels.Labels
	for i, name := range []string{"shop-api-1", "shop-worker-1", "shop-down-1"} {
		id := strings.Repeat(string(rune('a'+i)), 64)
		service := strings.Split(name, "-")[1]
		s.Running = append(s.Running, inspect.Container{ID: id, Name: name, Project: "shop", Service: service})
		inputs = append(inputs, labels.FromStrings(redact.ContainerID, id, redact.ContainerName, "/"+name, "__address__", "10.0.0.1:80", "password", uitest.Planted))
		s.Tails = append(s.Tails, inspect.LogTail{Component: "loki.source.docker.all", ID: id, Container: name, State: "reading", Lines: 40, Labels: map[string]map[string]string{"stdout": {"service": service}}})
	}
	s.Tails[1].LagSeconds = 7
	s.Targets = []inspect.ScrapeTarget{
		{Component: "prometheus.scrape.all", ID: "1", Job: "api", URL: "http://10.0.0.1:80/metrics", State: "up", Samples: 120, Interval: "15s", LastScrape: time.Now().Add(-3 * time.Second),
			Labels: labels.FromStrings("instance", "10.0.0.1:80", "job", "api", "copy_of_it", uitest.Planted), Discovered: inputs[0]},
		{Component: "prometheus.scrape.all", ID: "3", Job: "down", URL: "http://u:" + uitest.Planted + "@10.0.0.3:80/metrics", State: "down", Error: "connection refused", Interval: "15s", LastScrape: time.Now(),
			Cause:  cause.Cause{Kind: cause.Refused, Text: "Nothing listens on port 80 of shop-down-1.", Fix: "Start the service."},
			Labels: labels.FromStrings("instance", "10.0.0.3:80"), Discovered: inputs[2]},
	}
	s.Ends = []inspect.Life{
		{ID: "l", Name: "shop-loop-1", Project: "shop", Service: "loop", Looping: true, ExitCode: 1, Ends: 14},
		{ID: "g", Name: "shop-gone-1", Project: "shop", Service: "gone", Removed: true, ExitCode: 137, EndedAt: time.Now().Add(-3 * time.Minute)},
	}
	rule := inspect.Rule{Action: "keep", SourceLabels: []string{"scrape"}, Regex: "true", Separator: ";", Replacement: "$1"}
	job := inspect.Rule{Action: "replace", SourceLabels: []string{"service"}, Regex: "(.*)", Separator: ";", Replacement: "$1", TargetLabel: "job"}
	worker := func(l labels.Labels) bool { return strings.Contains(l.Get(redact.ContainerName), "worker") }
	s.Rules = []inspect.Relabeling{{
		Component: "discovery.relabel.scrape", Targets: true, Inputs: func() []labels.Labels { return inputs },
		Dropper: func(l labels.Labels, _ string) (int, bool) { return 0, !worker(l) },
		Trace: func(l labels.Labels, _ string) inspect.Trace {
			if worker(l) {
				return inspect.Trace{Input: l, Steps: []inspect.Step{{Rule: rule, Dropped: true}}}
			}
			return inspect.Trace{Input: l, Kept: true, Output: labels.FromStrings("__address__", "10.0.0.1:80", "job", "api"), Steps: []inspect.Step{
				{Rule: rule, Value: "true", Matched: true},
				{Rule: job, Value: "api", Matched: true, Changes: []inspect.LabelChange{{Name: "job", After: "api"}}},
			}}
		},
	}}
	return s
}

func destinations() uitest.Deliveries {
	return uitest.Deliveries{
		{Component: "loki.write.x", ID: "1", URL: "http://loki:3100/push", Signal: "logs", Stores: true, Received: 100, Queued: 60, Delivered: 10, QueuedBytes: 2048, Dropped: map[string]uint64{"queue_full": 30},
			LastError: "connection refused", FullQueue: "queue full (2 kB): 30 lines dropped", OldestQueued: time.Now().Add(-24 * time.Second)},
		{Component: "prometheus.remote_write.x", ID: "1", URL: "http://vm:8428/write", Signal: "metrics", Stores: true, Healthy: true, Delivered: 120, Received: 120, LastSuccess: time.Now().Add(-2 * time.Second)},
		{Component: "pyroscope.write.off", Signal: "profiles", Stores: true, Off: true, Received: 7, Dropped: map[string]uint64{"no_destination": 7}, LastError: "off", Cause: "Its endpoint is switched off: it has no host.", Fix: "Set the URL."},
	}
}

func newUI(t *testing.T) *uitest.UI {
	s := shop()
	return uitest.New(t, uitest.Small, func(o *ui.Options) { o.Inventory, o.Destinations = s, destinations() })
}

// asked is what the API answers.
func asked(t *testing.T, u *uitest.UI, query string) why.Answers {
	t.Helper()
	var m why.Answers
	if err := json.Unmarshal([]byte(uitest.Get(t, u, "/api/v1/why?q="+url.QueryEscape(query))), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// text is the answer to a question, as one reads it.
func text(s why.Subject, question string) string {
	for _, a := range s.Answers {
		if a.Question == question {
			out := a.Kind
			for _, t := range a.Texts {
				out += "|" + t.Text
			}
			out += "|" + a.Fix
			for _, l := range a.Labels {
				out += "|" + l.Name + "=" + l.Value + " from " + l.From
			}
			return out
		}
	}
	return "no answer"
}

func TestWhyAnswersOfContainersTargetsAndDestinations(t *testing.T) {
	u := newUI(t)
	for _, c := range []struct{ query, subject, question, want string }{
		{"shop-api-1", "container shop-api-1", "flowing", "good|Metrics: yes, 1 of 1 target up.|Logs: yes, 40 lines read."},
		{"shop-api-1", "container shop-api-1", "behind", ", every 15s"},
		{"shop-api-1", "container shop-api-1", "stops", "good|Nowhere."},
		{"shop-api-1", "container shop-api-1", "scraped", "good|prometheus.scrape.all scrapes http://10.0.0.1:80/metrics: up, 120 samples."},
		{"shop-api-1", "container shop-api-1", "labels", "job=api from discovery.relabel.scrape, rule 2"},
		{"shop-api-1", "container shop-api-1", "labels", "instance=10.0.0.1:80 from prometheus.scrape.all"},
		{"shop-api-1", "container shop-api-1", "dropped", "good|No: nothing was dropped on the way."},
		{"shop-api-1", "container shop-api-1", "changed", "good|Nothing since the start."},
		{"shop/worker", "container shop-worker-1", "scraped", "warn|It is not scraped: in discovery.relabel.scrape, rule 1 drops it: it keeps only those where scrape is “true”; here, scrape is not set."},
		{"worker", "container shop-worker-1", "behind", "Logs: loki.source.docker.all reads 7.0 s behind."},
		{"/shop-worker-1", "container shop-worker-1", "labels", "service=worker from loki.source.docker.all"},
		{strings.Repeat("c", 12), "container shop-down-1", "scraped", "bad|prometheus.scrape.all scrapes http://u:(secret)@10.0.0.3:80/metrics, which is down: Nothing listens on port 80 of shop-down-1.|"},
		{"shop-down-1", "container shop-down-1", "stops", "At prometheus.scrape.all, which cannot scrape"},
		{"shop-down-1", "container shop-down-1", "stops", "Start the service."}, // what to do
		{"shop-loop-1", "container shop-loop-1", "stops", "bad|At the container: shop-loop-1 is in a crash loop: restarting, exit code 1, 14 times in 5 min.|Its last log lines say why: docker logs --tail 50 shop-loop-1."},
		{"shop-loop-1", "container shop-loop-1", "changed", "The container ended 14 times in the last 5 min"},
		{"shop-gone-1", "container shop-gone-1", "scraped", "it ended 3 min ago with exit code 137, and was removed"},
		{"stopped", "container stopped", "scraped", "It is not a target of any component: it is not running (exited)."},
		{"http://10.0.0.1:80/metrics", "target http://10.0.0.1:80/metrics", "scraped", "good|"},
		{"10.0.0.1:80", "target http://10.0.0.1:80/metrics", "labels", "job=api from discovery.relabel.scrape, rule 2"},
		{"loki.write.x", "destination http://loki:3100/push", "flowing", "bad|loki.write.x (logs to http://loki:3100/push) is failing: connection refused. Nothing delivered yet."},
		{"loki", "destination http://loki:3100/push", "behind", "|loki.write.x: 60 lines waiting (2.0 KiB), the oldest for 24 s."},
		{"loki", "destination http://loki:3100/push", "behind", "bad|loki.write.x: queue full (2 kB): 30 lines dropped."},
		{"loki:3100", "destination http://loki:3100/push", "dropped", "bad|loki.write.x: 30 lines dropped since the start (reason: queue_full).|"},
		{"http://vm:8428/write", "destination http://vm:8428/write", "flowing", "good|prometheus.remote_write.x (metrics to http://vm:8428/write) delivers: 120 samples, the last 2."},
		{"pyroscope.write.off", "destination pyroscope.write.off", "flowing", "bad|pyroscope.write.off has no endpoint for profiles, and drops what is sent to it. Its endpoint is switched off: it has no host.|Set the URL."},
		{"pyroscope.write.off", "destination pyroscope.write.off", "stops", "bad|At pyroscope.write.off, which has no endpoint for profiles: Its endpoint is switched off: it has no host.|Set the URL."},
		{"pyroscope.write.off", "destination pyroscope.write.off", "dropped", "bad|pyroscope.write.off: 7 profiles dropped since the start (reason: no_destination).|Set the URL."},
		{"toy.sink.b", "component toy.sink.b", "flowing", "bad|toy.sink.b is unhealthy: the <b>disk</b> is full."},
	} {
		m := asked(t, u, c.query)
		if len(m.Subjects) != 1 || m.Subjects[0].What+" "+m.Subjects[0].Name != c.subject {
			t.Errorf("%s: %+v", c.query, m.Subjects)
			continue
		}
		if got := text(m.Subjects[0], c.question); !strings.Contains(got, c.want) {
			t.Errorf("%s, %s:\n%s\nhas not\n%s", c.query, c.question, got, c.want)
		}
	}
}

func TestWhyOfAnUnknownName(t *testing.T) {
	u := newUI(t)
	for query, want := range map[string]string{
		"shop-apy-1": `did you mean \"shop-api-1\"?`, "orker": "these contain it: shop-worker-1, shop/worker", "quite different": "A container is known if it exists now",
	} {
		w := u.Ask("GET", "/api/v1/why?q="+url.QueryEscape(query))
		if w.Code != 404 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
		page := u.Ask("GET", "/why?q="+url.QueryEscape(query))
		if page.Code != 404 {
			t.Errorf("%s: %d", query, page.Code)
		}
		uitest.CheckPage(t, query, page.Body.String())
	}
}

func TestThePageWhyShowsWhatTheAPIAnswers(t *testing.T) {
	u := newUI(t)
	page := uitest.Get(t, u, "/why")
	uitest.CheckPage(t, "/why", page)
	for _, want := range []string{`href="/why?q=shop-api-1"`, `href="/why?q=shop%2Fworker"`, `href="/why?q=loki.write.x"`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	page = uitest.Get(t, u, "/why?q=shop-worker-1")
	uitest.CheckPage(t, "/why?q=shop-worker-1", page)
	for _, want := range []string{"container shop-worker-1 (service shop/worker)", "Is it flowing?", "it keeps only those where scrape is “true”", `href="/relabel/discovery.relabel.scrape/`, "What changed?", `href="/configuration#history"`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
	// A copy of a secret is a secret.
	if got := text(asked(t, u, "shop-api-1").Subjects[0], "labels"); !strings.Contains(got, "copy_of_it=(secret)") {
		t.Errorf("%s", got)
	}
}

// What a load changed is listed for everything whose path it affected.
func TestWhyListsWhatALoadChanged(t *testing.T) {
	u := newUI(t)
	u.Next = strings.Replace(uitest.Small, `sick = "the <b>disk</b> is full"`, "", 1)
	if w := u.Ask("POST", "/api/v1/reload"); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	got := text(asked(t, u, "toy.source.a").Subjects[0], "changed")
	for _, want := range []string{"by HTTP POST /api/v1/reload from 192.0.2.1", "1 file, +1 −1 lines", "rebuilt: toy.sink.b, toy.source.a"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if got := text(asked(t, u, "toy.sink.alone").Subjects[0], "changed"); !strings.Contains(got, "no component that this data passes was rebuilt") {
		t.Errorf("%s", got)
	}
}

// With thousands of containers of one service, a page stays small.
func TestWhyOfManyStaysSmall(t *testing.T) {
	s := uitest.NewStock(2000, 2000)
	for i := range s.Running {
		s.Running[i].Service = "many"
	}
	toy := uitest.RelabelToy(s)
	inputs := toy.Inputs() // which stay the same while nothing changes
	toy.Inputs = func() []labels.Labels { return inputs }
	s.Rules = []inspect.Relabeling{toy}
	u := uitest.New(t, uitest.Small, func(o *ui.Options) {
		o.Inventory = s
		o.Destinations = uitest.Deliveries(append([]flow.Destination{}, destinations()...))
	})
	for _, path := range []string{"/why", "/why?q=many", "/why?q=containers", "/why?q=shop-service-0003-1"} {
		page := uitest.Get(t, u, path)
		uitest.CheckPage(t, path, page)
		if len(page) > uitest.MaxPage {
			t.Errorf("%s has %d KiB", path, len(page)>>10)
		}
	}
	if m := asked(t, u, "many"); len(m.Subjects) != 10 || m.More != 1990 {
		t.Errorf("%d subjects, %d more", len(m.Subjects), m.More)
	}
}
