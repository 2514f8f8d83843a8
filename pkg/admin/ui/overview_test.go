package ui

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/graph"
	"collector/pkg/inspect"
)

func destination(change func(*Destination)) []Destination {
	d := Destination{Component: "loki.write.default", ID: "1", URL: "http://loki/push", Signal: "logs", Healthy: true, Stores: true, Dropped: map[string]uint64{}, Received: 10, Delivered: 10}
	change(&d)
	return []Destination{d}
}

func TestProblemsSayWhatIsWrongAndHowToMendIt(t *testing.T) {
	now := time.Now()
	sick := []graph.ComponentInfo{{ID: "loki.write.default", Health: graph.Health{State: graph.Unhealthy, Message: "listen :80: address already in use"}}}
	for name, c := range map[string]struct {
		situation situation
		want      []string // one for each problem: its kind and parts of its texts
	}{
		"nothing":         {situation{}, nil},
		"a failed reload": {situation{loadError: "c.alloy:3: no such component\nmore"}, []string{"bad|c.alloy:3: no such component|lines that the page Configuration shows"}},
		"a dead destination": {situation{destinations: destination(func(d *Destination) {
			d.Healthy, d.LastError, d.Queued, d.Delivered, d.LastSuccess = false, "dial tcp: connect: connection refused", 7, 3, now.Add(-time.Hour)
		})}, []string{"bad|loki.write.default (logs to http://loki/push) fails: dial tcp: connect: connection refused|last 1 h 0 min ago|7 lines wait|start the backend"}},
		"a destination that refuses the password": {situation{destinations: destination(func(d *Destination) { d.Healthy, d.LastError = false, "server returned 401" })}, []string{"bad|never took|credentials are refused"}},
		"a destination without a name":            {situation{destinations: destination(func(d *Destination) { d.Healthy, d.LastError = false, "lookup loki: no such host" })}, []string{"bad|no such host|one network"}},
		"a destination at port 4040 that hangs": {situation{destinations: destination(func(d *Destination) {
			d.Healthy, d.LastError = false, "Post http://p:4040/ingest: context deadline exceeded"
		})}, []string{"bad|4040|does not answer in time"}},
		"a destination without the path":   {situation{destinations: destination(func(d *Destination) { d.Healthy, d.LastError = false, "server returned HTTP status 404 Not Found" })}, []string{"bad|404|correct the path"}},
		"a target at port 4040 that hangs": {situation{targets: []inspect.ScrapeTarget{{Component: "p", State: "down", Error: "Get http://a:4040/404s: refused"}}}, []string{"bad|1 of the 1|Ask the target"}},
		"rules that drop, as they are to":  {situation{destinations: destination(func(d *Destination) { d.Dropped["relabelled"], d.Recent.Dropped = 3, []float64{1} })}, nil},
		"no destination":                   {situation{nowhere: true}, []string{"warn|no destination is set|COLLECTOR_LOGS_URL"}},
		"a slow destination":               {situation{destinations: destination(func(d *Destination) { d.OldestQueued = now.Add(-10 * time.Minute); d.Queued = 5 })}, []string{"warn|behind: 5 lines|10 min|more capacity"}},
		"a destination that redirects": {situation{destinations: destination(func(d *Destination) {
			d.Healthy, d.LastError = false, "http://loki redirects to https://loki/ (301 Moved Permanently), which is not followed"
		})}, []string{"bad|redirects to https://loki/|Set the URL"}},
		"a login page in front": {situation{destinations: destination(func(d *Destination) {
			d.Healthy, d.LastError = false, `http://loki is answered with a web page ("404"), not with an acknowledgement`
		})}, []string{"bad|web page|credentials"}},
		"tenants that wait": {situation{destinations: destination(func(d *Destination) { d.WaitingTenants, d.LastError = 2, "429" })}, []string{"warn|makes 2 tenants wait|Raise the limits"}},
		"a full queue": {situation{destinations: destination(func(d *Destination) {
			d.Dropped["queue_full"], d.Dropped["relabelled"], d.Recent.Dropped = 4, 3, []float64{0, 0.8}
		})}, []string{"bad|loses data: 4 lines|queue_full|more room"}},
		"what was dropped long ago": {situation{destinations: destination(func(d *Destination) { d.Dropped["queue_full"], d.Recent.Dropped = 4, []float64{0, 0} })}, nil},
		"a damaged queue":           {situation{destinations: destination(func(d *Destination) { d.DamagedBlocks = 1 })}, []string{"warn|1 damaged blocks|check the disk"}},
		"failing targets": {situation{targets: []inspect.ScrapeTarget{
			{Component: "prometheus.scrape.a", URL: "http://b:1/", State: "down", Error: "server returned HTTP status 404 Not Found"}, {Component: "prometheus.scrape.a", URL: "http://a:1/", State: "up"},
		}}, []string{"bad|1 of the 2 targets of prometheus.scrape.a|http://b:1/|404|metrics_path"}},
		"a tail that cannot be read":       {situation{tails: []inspect.LogTail{{Component: "loki.source.docker.a", Container: "web", State: "driver does not support reading", Error: "configured log driver does not support reading"}}}, []string{"warn|1 of 1 containers|web|json-file"}},
		"Docker without rights":            {situation{engines: []inspect.Engine{{Component: "discovery.docker.a", Host: "unix:///s", Error: "permission denied: it belongs to group 998: add this group to the process (docker run --group-add 998)"}, {Component: "discovery.docker.b", Host: "unix:///s", Error: "the same"}}}, []string{"bad|unix:///s cannot be reached|--group-add 998|Do as the message says"}},
		"Docker that is not mounted":       {situation{engines: []inspect.Engine{{Host: "unix:///s", Error: "connect: no such file or directory"}}}, []string{"bad|no such file|Mount the socket"}},
		"a sick component":                 {situation{components: sick}, []string{"bad|loki.write.default is unhealthy: listen :80|Another program has the port"}},
		"a component whose cause is named": {situation{components: sick, destinations: destination(func(d *Destination) { d.Healthy, d.LastError = false, "x509: unknown authority" })}, []string{"bad|x509|ca_file"}},
		"a queue that no writer has": {situation{orphans: []OrphanedQueue{
			{Folder: "/data/loki.write.old", Component: "loki.write.old", Signal: "logs", URL: "http://loki:3100/push", Items: 5, Bytes: 2048, Oldest: now.Add(-2 * time.Hour), KeptUntil: now},
			{Folder: "/data/orphaned/loki.write.x-logs-1", Component: "loki.write.x", Signal: "logs", Items: 7, Delivering: true},
		}}, []string{"warn|5 lines wait|no longer in the configuration|loki.write.old to http://loki:3100/push|2.0 KiB in /data/loki.write.old|2 h|collector queue drain|collector queue drop"}},
		"the worst comes first": {situation{destinations: destination(func(d *Destination) { d.DamagedBlocks = 1 }), targets: []inspect.ScrapeTarget{{Component: "p", State: "down", Error: "connection refused"}}}, []string{
			"bad|1 of the 1 targets|Nothing listens", "warn|damaged"}},
	} {
		c.situation.now = now
		got := c.situation.problems()
		if len(got) != len(c.want) {
			t.Errorf("%s: %d problems: %+v", name, len(got), got)
			continue
		}
		for i, want := range c.want {
			text := got[i].Kind + "|" + got[i].Message + "|" + got[i].Mend
			for part := range strings.SplitSeq(want, "|") {
				if !strings.Contains(text, part) {
					t.Errorf("%s: no %q in %s", name, part, text)
				}
			}
		}
	}
}

// Services stand below their projects, with their numbers; those outside of any
// come last, and what is left out still counts.
func TestServicesStandBelowTheirProjects(t *testing.T) {
	s := newStock(6, 0)
	for i, project := range []string{"shop", "blog", "shop", "", "shop", "blog"} {
		s.containers[i] = inspect.Container{ID: s.containers[i].ID, Name: fmt.Sprintf("c%d", i), Project: project}
		if project != "" {
			s.containers[i].Service = fmt.Sprintf("service-%d", i%4)
		}
	}
	page := get(t, newTestUI(t, small, having(s)), "/")
	checkPage(t, "/", page)
	at := 0
	for _, want := range []string{
		`<tbody><tr class="group"><th scope="rowgroup" colspan="4"><strong>blog</strong><span class="dim"> 1 service, 2 containers</span></th></tr><tr><th scope="row">service-1</th>`,
		`<strong>shop</strong><span class="dim"> 2 services, 3 containers</span>`, `<th scope="row">service-0</th>`, `<th scope="row">service-2</th>`,
		`<strong>Outside of Compose</strong><span class="dim"> 1 container</span>`, `<th scope="row">c3</th>`,
	} {
		i := strings.Index(page[at:], want)
		if i < 0 {
			t.Fatalf("no %s after %.200s", want, page[at:])
		}
		at += i
	}
}

func TestTheOverviewOfThousandsOfContainersIsBounded(t *testing.T) {
	s := newStock(2000, 2000)
	for i := range s.containers {
		c := &s.containers[i]
		c.Project, c.Service = fmt.Sprintf("project-%02d", i%3), fmt.Sprintf("service-%04d", i)
	}
	u := newTestUI(t, small, having(s))
	page := get(t, u, "/")
	checkPage(t, "/", page)
	if n := strings.Count(page, `<th scope="row">service-`); n != maxServiceRows || len(page) > maxPage {
		t.Errorf("%d services, %d bytes", n, len(page))
	}
	for _, want := range []string{"667 services, 667 containers", "There are 1800 more services"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	var o overview
	if err := json.Unmarshal([]byte(get(t, u, "/api/v1/overview")), &o); err != nil || len(o.Services) != 2000 {
		t.Errorf("%d services in the JSON, %v", len(o.Services), err)
	}
}

type deliveries []Destination

func (d deliveries) Destinations() []Destination { return d }

func TestTheOverviewAccountsForEverything(t *testing.T) {
	s := newStock(20, 10)
	s.containers = append(s.containers, inspect.Container{ID: "x", Name: "alone"}, inspect.Container{ID: "y", Name: "gone", Ended: true})
	all := deliveries{
		{Component: "prometheus.remote_write.a", URL: "http://a", Signal: "metrics", Received: 100, Delivered: 60, Queued: 30, Dropped: map[string]uint64{"too_old": 10}, Healthy: true, Stores: true,
			OldestQueued: time.Now().Add(-time.Minute), Recent: DestinationRecent{In: []float64{1, 2, 3}, Out: []float64{1, 1, 1}}},
		{Component: "prometheus.remote_write.b", URL: "http://b", Signal: "metrics", Received: 5, Delivered: 5, LastError: "http://u:hunter2planted@b failed", Recent: DestinationRecent{In: []float64{10}}},
	}
	u := newTestUI(t, small, func(o *Options) {
		o.Inventory, o.Destinations = s, all
		o.Rates = rates{{From: "scrape", To: "relabel", Signal: "metrics", ItemsPerSecond: 7}, {From: "scrape", To: "b", Signal: "metrics", ItemsPerSecond: 7}, {From: "relabel", To: "a", Signal: "metrics", ItemsPerSecond: 3}}
	})
	var o overview
	if err := json.Unmarshal([]byte(get(t, u, "/api/v1/overview")), &o); err != nil {
		t.Fatal(err)
	}
	f := o.Signals[0]
	dropped := uint64(0)
	for _, n := range f.Dropped {
		dropped += n
	}
	if f.Signal != "metrics" || f.Received != 105 || f.Received != f.Delivered+f.Queued+dropped || f.SourcesPerSecond != 7 || f.LagSeconds < 59 || fmt.Sprint(f.Recent.In) != "[1 2 13]" {
		t.Errorf("%+v", f)
	}
	if len(o.Services) != 11 || o.Services[0] != (serviceInfo{Project: "shop", Service: "service-0000", Containers: 2, Targets: 2, TargetsUp: 2, Tails: 2, Reading: 2}) || o.Services[10].Service != "alone" {
		t.Errorf("%+v", o.Services)
	}
	page := get(t, u, "/")
	checkPage(t, "/", page)
	for _, want := range []string{"The destination prometheus.remote_write.b", "30 (0 B)", "10 too_old", `href="/relabel?q=alone"`, "1 of 2 up", "down", "metrics in over the last five minutes"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
}

// Where a sink is wired up and nothing has come yet, neither the configuration
// nor an environment variable is to blame.
func TestTheOverviewWaitsForTheFirstItem(t *testing.T) {
	u := newTestUI(t, small, func(o *Options) {
		o.Destinations = deliveries{{Component: "explore.sink.default", ID: "explore", Signal: "logs", Healthy: true}}
	})
	page := get(t, u, "/")
	checkPage(t, "/", page)
	for want, n := range map[string]int{"Nothing has come yet.": 1, "nothing has come yet": 1, "Nothing in the configuration delivers": 3, "Nothing is collected": 0} {
		if got := strings.Count(page, want); got != n {
			t.Errorf("%q stands there %d times, not %d", want, got, n)
		}
	}
}

// A failed reload, which every page tells of on top, does not hide another
// problem that leads to the page Configuration.
func TestAFailedReloadHidesNoOtherProblem(t *testing.T) {
	u := newTestUI(t, small, func(o *Options) { o.Destinations = deliveries{} })
	u.next = "toy.sink \"x\" {\n\tnonsense = 1\n}\n"
	if u.load(t.Context()) == nil {
		t.Fatal("the configuration was loaded")
	}
	page := get(t, u, "/")
	for want, n := range map[string]int{"The last reload failed": 1, "Nothing is collected: no destination is set.": 1, "Nothing is wrong.": 0} {
		if got := strings.Count(page, want); got != n {
			t.Errorf("%q stands there %d times, not %d", want, got, n)
		}
	}
}

func TestWhatIsDroppedAsConfiguredIsNoLoss(t *testing.T) {
	for dropped, want := range map[string]string{
		"relabelled":            `badge info`,
		"native_histograms_off": `badge info`,
		"queue_full":            `badge bad`,
	} {
		f := signalFlow{Signal: "metrics", Destinations: 1, Received: 9, Dropped: map[string]uint64{dropped: 3, "relabelled": 2}}
		var b strings.Builder
		if err := newTestUI(t, small, nil).signalCard(f).Render(&b); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s: no %q in %s", dropped, want, b.String())
		}
	}
}

// Traces and profiles are told apart by the service's name alone.
func TestServicesOfOneNameInTwoProjectsAreSaidToBeSo(t *testing.T) {
	s := newStock(3, 0)
	for i, of := range [][2]string{{"shop", "web"}, {"blog", "web"}, {"shop", "db"}} {
		s.containers[i] = inspect.Container{ID: s.containers[i].ID, Name: fmt.Sprintf("c%d", i), Project: of[0], Service: of[1]}
	}
	var o overview
	if err := json.Unmarshal([]byte(get(t, newTestUI(t, small, having(s)), "/api/v1/overview")), &o); err != nil {
		t.Fatal(err)
	}
	for _, service := range o.Services {
		if service.Ambiguous != (service.Service == "web") {
			t.Errorf("%+v", service)
		}
	}
	for _, c := range []struct {
		yes, ambiguous bool
		want           string
	}{{true, false, ">seen<"}, {true, true, "seen, from this or another project"}, {false, true, "–"}} {
		var b strings.Builder
		if err := seen(c.yes, c.ambiguous).Render(&b); err != nil || !strings.Contains(strings.ReplaceAll(b.String(), " seen<", ">seen<"), c.want) {
			t.Errorf("%+v: %s, %v", c, b.String(), err)
		}
	}
}

func TestASupportBundleHasWhatIsNeededAndNoSecrets(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "some_gauge", Help: "Of http://u:hunter2planted@h."}, func() float64 { return 1 }))
	s := newStock(3, 2)
	s.engines = []inspect.Engine{{Host: "unix:///s", Error: "down"}}
	u := newTestUI(t, small, func(o *Options) {
		o.Inventory = s
		o.Support = &Support{
			Build: map[string]string{"revision": "abc"}, Flags: map[string]string{"storage.path": "/data", "password": planted}, Metrics: registry,
			Log: func() []string {
				return []string{"level=info url=http://u:hunter2planted@h/?token=hunter2planted", "env has ENVSECRET1 \"in\" it"}
			},
			Secrets: func() []string { return []string{"ENVSECRET1", "a"} },
		}
	})
	u.next = "toy.sink \"x\" {\n\tnonsense = 1\n\tpassword = \"hunter2planted\"\n}\n"
	if u.load(t.Context()) == nil {
		t.Fatal("the configuration was loaded")
	}
	w := u.ask("GET", "/-/support")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/zip" || !strings.Contains(w.Header().Get("Content-Disposition"), "collector-support-") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	files := unzip(t, w.Body.Bytes())
	for name, want := range map[string]string{
		"README.txt": "replaced", "version.json": `"storage.path": "/data"`, "problems.json": "last reload failed", "overview.json": "signals", "components.json": "toy.source.a",
		"targets.json": "shop-service-0001-1", "tails.json": "shop-service-0001-1", "engines.json": "unix:///s", "metrics.txt": "some_gauge 1", "log.txt": `env has (secret) "in" it`,
		"goroutines.txt": "goroutine profile", "heap.pprof": "", "configuration/in-force/01.alloy": "dir/c.alloy", "configuration/failed/01.alloy": "nonsense", "configuration/failed/error.txt": "nonsense",
	} {
		text, ok := files[name]
		if !ok || !strings.Contains(text, want) {
			t.Errorf("%s: %v, no %s in %.300s", name, ok, want, text)
		}
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(text)) {
			t.Errorf("%s is not JSON", name)
		}
	}
	for name, text := range files {
		if strings.Contains(text, planted) || strings.Contains(text, "ENVSECRET1") {
			t.Errorf("%s holds a secret", name)
		}
	}
	if u := newTestUI(t, small, nil); u.ask("GET", "/-/support").Code != http.StatusNotFound {
		t.Error("there is a bundle though it is switched off")
	}
}

func unzip(t *testing.T, data []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(text)
	}
	return files
}
