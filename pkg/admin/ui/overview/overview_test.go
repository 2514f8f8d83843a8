package overview_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/overview"
	"collector/pkg/admin/ui/uitest"
	"collector/pkg/config"
	"collector/pkg/inspect"
)

// Services follow their projects, with their numbers. Failing ones come first; those
// outside any project come last.
func TestServicesAreListedBelowTheirProjects(t *testing.T) {
	s := uitest.NewStock(6, 0)
	for i, project := range []string{"shop", "blog", "shop", "", "shop", "blog"} {
		s.Running[i] = inspect.Container{ID: s.Running[i].ID, Name: fmt.Sprintf("c%d", i), Project: project}
		if project != "" {
			s.Running[i].Service = fmt.Sprintf("service-%d", i%4)
		}
	}
	page := uitest.Get(t, uitest.New(t, uitest.Small, uitest.Having(s)), "/")
	uitest.CheckPage(t, "/", page)
	at := 0
	for _, want := range []string{
		`<strong>Outside Compose</strong><span class="dim"> 1 container</span>`, `<th scope="row"><a href="/why?q=c3">c3</a></th>`, "0 of 1 up",
		`<tbody><tr class="group"><th scope="rowgroup" colspan="4"><strong>blog</strong><span class="dim"> 1 service, 2 containers</span></th></tr><tr><th scope="row"><a href="/why?q=blog%2Fservice-1">service-1</a></th>`,
		`href="/targets?project=blog&amp;service=service-1"`,
		`<strong>shop</strong><span class="dim"> 2 services, 3 containers</span>`, `>service-0</a></th>`, `>service-2</a></th>`,
	} {
		i := strings.Index(page[at:], want)
		if i < 0 {
			t.Fatalf("no %s after %.200s", want, page[at:])
		}
		at += i
	}
}

func TestTheOverviewOfThousandsOfContainersIsBounded(t *testing.T) {
	s := uitest.NewStock(2000, 2000)
	for i := range s.Running {
		c := &s.Running[i]
		c.Project, c.Service = fmt.Sprintf("project-%02d", i%3), fmt.Sprintf("service-%04d", i)
	}
	u := uitest.New(t, uitest.Small, uitest.Having(s))
	page := uitest.Get(t, u, "/")
	uitest.CheckPage(t, "/", page)
	if n := strings.Count(page, `<th scope="row"><a href="/why?q=project-`); n != 200 || len(page) > uitest.MaxPage {
		t.Errorf("%d services, %d bytes", n, len(page))
	}
	for _, want := range []string{"667 services, 667 containers", "20 more failing services: see ", "<h3>Healthy</h3>", `href="/targets/logs?project=project-02"`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	var o overview.Overview
	if err := json.Unmarshal([]byte(uitest.Get(t, u, "/api/v1/overview")), &o); err != nil || len(o.Services) != 2000 {
		t.Errorf("%d services in the JSON, %v", len(o.Services), err)
	}
}

func TestTheOverviewAccountsForEverything(t *testing.T) {
	s := uitest.NewStock(20, 10)
	s.Running = append(s.Running, inspect.Container{ID: "x", Name: "alone"}, inspect.Container{ID: "y", Name: "gone", Ended: true})
	all := uitest.Deliveries{
		{Component: "prometheus.remote_write.a", URL: "http://a", Signal: "metrics", Received: 100, Delivered: 60, Queued: 30, Dropped: map[string]uint64{"too_old": 10}, Healthy: true, Stores: true,
			OldestQueued: time.Now().Add(-time.Minute), Recent: flow.Recent{In: []float64{1, 2, 3}, Out: []float64{1, 1, 1}}},
		{Component: "prometheus.remote_write.b", URL: "http://b", Signal: "metrics", Received: 5, Delivered: 5, LastError: "http://u:hunter2planted@b failed", Recent: flow.Recent{In: []float64{10}}},
	}
	u := uitest.New(t, uitest.Small, func(o *ui.Options) {
		o.Inventory, o.Destinations = s, all
		o.Rates = uitest.Rates{{From: "scrape", To: "relabel", Signal: "metrics", ItemsPerSecond: 7}, {From: "scrape", To: "b", Signal: "metrics", ItemsPerSecond: 7}, {From: "relabel", To: "a", Signal: "metrics", ItemsPerSecond: 3}}
	})
	var o overview.Overview
	if err := json.Unmarshal([]byte(uitest.Get(t, u, "/api/v1/overview")), &o); err != nil {
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
	if len(o.Services) != 11 || o.Services[0] != (overview.Service{Project: "shop", Service: "service-0000", Containers: 2, Targets: 2, TargetsUp: 2, Tails: 2, Reading: 2}) || o.Services[10].Service != "alone" {
		t.Errorf("%+v", o.Services)
	}
	page := uitest.Get(t, u, "/")
	uitest.CheckPage(t, "/", page)
	for _, want := range []string{"The destination prometheus.remote_write.b", "30 (0 B)", "10 too_old", `href="/relabel?project=&amp;service=alone"`, "1 of 2 up", "down", "metrics in over the last five minutes"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
}

// If a sink is connected and nothing has arrived yet, neither the configuration nor an
// environment variable is to blame.
func TestTheOverviewWaitsForTheFirstItem(t *testing.T) {
	u := uitest.New(t, uitest.Small, func(o *ui.Options) {
		o.Destinations = uitest.Deliveries{{Component: "explore.sink.default", ID: "explore", Signal: "logs", Healthy: true}}
	})
	page := uitest.Get(t, u, "/")
	uitest.CheckPage(t, "/", page)
	for want, n := range map[string]int{"Nothing received yet.": 1, "nothing received yet": 1, "The configuration has no destination for": 3, "Nothing is collected": 0} {
		if got := strings.Count(page, want); got != n {
			t.Errorf("%q occurs %d times, not %d", want, got, n)
		}
	}
}

// A failed reload, which every page shows at the top, does not hide another problem that
// leads to the Configuration page.
func TestAFailedReloadHidesNoOtherProblem(t *testing.T) {
	u := uitest.New(t, uitest.Small, func(o *ui.Options) { o.Destinations = uitest.Deliveries{} })
	u.Next = "toy.sink \"x\" {\n\tnonsense = 1\n}\n"
	if u.Load(t.Context()) == nil {
		t.Fatal("the configuration was loaded")
	}
	page := uitest.Get(t, u, "/")
	for want, n := range map[string]int{"The last reload failed": 1, "Nothing is collected: no destination is set.": 1, "No problems.": 0} {
		if got := strings.Count(page, want); got != n {
			t.Errorf("%q occurs %d times, not %d", want, got, n)
		}
	}
}

// With many services, those that fail come first, and a project of which all are well
// is collapsed.
func TestHealthyProjectsAreCollapsed(t *testing.T) {
	s := uitest.NewStock(100, 0)
	for i := range s.Running {
		s.Running[i] = inspect.Container{ID: s.Running[i].ID, Name: fmt.Sprintf("c%d", i), Project: fmt.Sprintf("project-%02d", i/10), Service: fmt.Sprintf("service-%d", i)}
		if s.Targets[i].State = "up"; i == 57 {
			s.Targets[i].State = "down"
		}
	}
	s.Ends = []inspect.Life{
		{ID: "l", Name: "project-03-worker-1", Project: "project-03", Service: "worker", Looping: true, ExitCode: 1, Ends: 14},
		{ID: "g", Name: "project-04-gone-1", Project: "project-04", Service: "gone", ExitCode: 3, EndedAt: time.Now().Add(-3 * time.Minute), Removed: true},
		{ID: "j", Name: "project-06-job-1", Project: "project-06", Service: "job", EndedAt: time.Now().Add(-3 * time.Minute)},
	}
	page := uitest.Get(t, uitest.New(t, uitest.Small, uitest.Having(s)), "/")
	uitest.CheckPage(t, "/", page)
	at := 0
	for _, want := range []string{
		"project-03-worker-1 is in a crash loop: restarting, exit code 1, 14 times in 5 min.", "docker logs --tail 50 project-03-worker-1",
		"project-04-gone-1 failed and no longer runs: exit code 3, 3 min ago, removed.",
		"<strong>project-03</strong>", ">worker</a>", "restarting, exit code 1, 14 times in 5 min",
		"<strong>project-04</strong>", ">gone</a>", "ended: exit code 3, 3 min ago, removed",
		"<strong>project-05</strong>", ">service-57</a>", "0 of 1 up",
		"<h3>Healthy</h3>", `<details id="project-project-00" class="project"><summary><strong>project-00</strong>`, ">service-0</a>",
		`<details id="project-project-05" class="project"><summary><strong>project-05</strong><span class="dim"> 9 services, 9 containers`,
		`<details id="project-project-06" class="project"><summary><strong>project-06</strong>`, ">job</a>", "ended: exit code 0",
	} {
		i := strings.Index(page[at:], want)
		if i < 0 {
			t.Fatalf("no %s after %.300s", want, page[at:])
		}
		at += i
	}
}

// A failed container that has been replaced is no longer a problem.
func TestAContainerThatWasReplacedIsNoProblem(t *testing.T) {
	s := uitest.NewStock(1, 0)
	s.Targets = nil
	s.Running[0] = inspect.Container{ID: "new", Name: "shop-api-2", Project: "shop", Service: "api"}
	s.Ends = []inspect.Life{{ID: "old", Name: "shop-api-1", Project: "shop", Service: "api", ExitCode: 1, EndedAt: time.Now()}, {ID: "stopped", Name: "stopped", ExitCode: 143, EndedAt: time.Now()}}
	page := uitest.Get(t, uitest.New(t, "toy.sink \"x\" { }", uitest.Having(s)), "/")
	if !strings.Contains(page, "No problems.") || strings.Contains(page, "ended: exit code 1,") || !strings.Contains(page, "ended: exit code 143") {
		t.Errorf("%s", page)
	}
}

// A configuration that differs on disk is reported, unless a failed reload already is.
func TestTheOverviewSaysThatTheDiskDiffers(t *testing.T) {
	differs := []config.FileDiff{{Name: "c.alloy", Change: "changed"}}
	u := uitest.New(t, "toy.sink \"x\" { }", func(o *ui.Options) { o.OnDisk = func() ([]config.FileDiff, error) { return differs, nil } })
	const says = "The configuration on disk differs from the running one."
	if page := uitest.Get(t, u, "/"); !strings.Contains(page, says) {
		t.Error("it is not told of")
	}
	differs = nil
	if page := uitest.Get(t, u, "/"); strings.Contains(page, says) {
		t.Error("it is told of though it does not differ")
	}
}

// Traces and profiles are assigned by the service's name alone.
func TestServicesOfOneNameInTwoProjectsAreMarked(t *testing.T) {
	s := uitest.NewStock(3, 0)
	for i, of := range [][2]string{{"shop", "web"}, {"blog", "web"}, {"shop", "db"}} {
		s.Running[i] = inspect.Container{ID: s.Running[i].ID, Name: fmt.Sprintf("c%d", i), Project: of[0], Service: of[1]}
	}
	var o overview.Overview
	if err := json.Unmarshal([]byte(uitest.Get(t, uitest.New(t, uitest.Small, uitest.Having(s)), "/api/v1/overview")), &o); err != nil {
		t.Fatal(err)
	}
	for _, service := range o.Services {
		if service.Ambiguous != (service.Service == "web") {
			t.Errorf("%+v", service)
		}
	}
}

func TestADestinationThatDoesNotAnswerIsShownBeforeItIsDown(t *testing.T) {
	silent := flow.Destination{Component: "prometheus.remote_write.a", URL: "http://a", Signal: "metrics", Healthy: true, Stores: true, UnansweredSince: time.Now().Add(-7 * time.Second)}
	u := uitest.New(t, uitest.Small, func(o *ui.Options) { o.Destinations = uitest.Deliveries{silent} })
	if page := uitest.Get(t, u, "/"); !regexp.MustCompile(`<span class="badge warn">.{30,50}no answer for \d+ s</span>`).MatchString(page) {
		t.Errorf("the overview does not say so: %s", page)
	}
	if text := uitest.Get(t, u, "/api/v1/overview"); !strings.Contains(text, `"unansweredSince":"2`) {
		t.Errorf("the API does not say so: %s", text)
	}
}

func TestARateIsShownOnceItIsKnown(t *testing.T) {
	d := flow.Destination{Component: "prometheus.remote_write.a", URL: "http://a", Signal: "metrics", Received: 5, Delivered: 5, Healthy: true, Stores: true}
	for want, recent := range map[string][]float64{"–, 5 total": nil, "0/s, 5 total": {0}, "3/s, 5 total": {3}} {
		d.Recent = flow.Recent{In: recent, Out: recent}
		u := uitest.New(t, uitest.Small, func(o *ui.Options) { o.Destinations = uitest.Deliveries{d} })
		if page := uitest.Get(t, u, "/"); strings.Count(page, want) != 2 {
			t.Errorf("not twice %q: %s", want, page)
		}
	}
}
