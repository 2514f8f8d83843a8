package dashboards

import (
	"strings"
	"testing"
)

// TestChecksFindMistakes makes one mistake at a time in a good dashboard.
func TestChecksFindMistakes(t *testing.T) {
	const name = "full-observability.json"
	sources := sourceTypes(loadDatasources(t))
	panelOf := func(d *dashboard, title string) *panel {
		for i := range d.Panels {
			if d.Panels[i].Title == title {
				return &d.Panels[i]
			}
		}
		t.Fatalf("there is no panel %q", title)
		return nil
	}
	first := func(d *dashboard, title string) *target { return &panelOf(d, title).Targets[0] }
	for want, mistake := range map[string]func(d *dashboard){
		`no data source with the uid "other"`: func(d *dashboard) { first(d, "Apdex").Datasource.UID = "other" },
		`is of type "loki", not "prometheus"`: func(d *dashboard) { first(d, "Apdex").Datasource.UID = "loki" },
		`panel Apdex has no data source`:      func(d *dashboard) { panelOf(d, "Apdex").Datasource = nil },
		`query A is empty`:                    func(d *dashboard) { first(d, "Recent traces").Query = " " },
		`panel "Apdex" has no query`:          func(d *dashboard) { panelOf(d, "Apdex").Targets = nil },
		`unknown query type "traceId"`:        func(d *dashboard) { first(d, "Recent traces").QueryType = "traceId" },
		`either range or instant`:             func(d *dashboard) { first(d, "Apdex").Instant = true },
		`profile type "cpu"`:                  func(d *dashboard) { first(d, "CPU time").ProfileTypeID = "cpu" },
		`panel "Service map" is missing`:      func(d *dashboard) { panelOf(d, "Service map").Title = "Map" },
		`the title "Apdex" is taken`:          func(d *dashboard) { panelOf(d, "Workers").Title = "Apdex" },
		`panel "Apdex": the id 0`:             func(d *dashboard) { panelOf(d, "Apdex").ID = 0 },
		`panel "Workers": the id 2 is taken`:  func(d *dashboard) { panelOf(d, "Workers").ID = panelOf(d, "Apdex").ID },
		`has no description`:                  func(d *dashboard) { panelOf(d, "Apdex").Description = "" },
		`panel "Apdex" has no unit`:           func(d *dashboard) { panelOf(d, "Apdex").FieldConfig.Defaults.Unit = "" },
		`unknown type "graph"`:                func(d *dashboard) { panelOf(d, "Apdex").Type = "graph" },
		`"Apdex" and "Error rate" overlap`:    func(d *dashboard) { panelOf(d, "Error rate").GridPos.X-- },
		`not within the 24 columns`:           func(d *dashboard) { panelOf(d, "Workers").GridPos.X++ },
		`query A has no legend`:               func(d *dashboard) { first(d, "Apdex").LegendFormat = "" },
		`the legend uses the label "route"`:   func(d *dashboard) { first(d, "RPS by path").LegendFormat = "{{route}}" },
		`the refId "A" is taken`:              func(d *dashboard) { panelOf(d, "Calls between services").Targets[1].RefID = "A" },
		`uses the variable "tenant"`:          func(d *dashboard) { first(d, "Apdex").Expr += ` or x{t="$tenant"}` },
		`uses the variable "team"`:            func(d *dashboard) { first(d, "Flame graph").LabelSelector = `{t="${team:pipe}"}` },
		`variable "path" is missing`:          func(d *dashboard) { d.Templating.List = d.Templating.List[:3] },
		`variable "spare" is not used`:        func(d *dashboard) { d.Templating.List = append(d.Templating.List, variable{Name: "spare"}) },
		`variable "service" uses "project"`:   func(d *dashboard) { l := d.Templating.List; l[0], l[1] = l[1], l[0] },
		`want a labeled query`:                func(d *dashboard) { d.Templating.List[0].AllValue = "" },
		`variable "project": query "up"`:      func(d *dashboard) { d.Templating.List[0].Query.Query = "up" },
		`uid, title, description`:             func(d *dashboard) { d.UID = "" },
		`without the tag observability`:       func(d *dashboard) { d.Tags = nil },
		`"Overview" is collapsed`:             func(d *dashboard) { panelOf(d, "Overview").Panels = []panel{{}} },
	} {
		d := loadDashboards(t)[name]
		mistake(&d)
		if found := check(name, d, sources); !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("want %q, got %q", want, found)
		}
	}
}

// TestQueryChecksFindMistakes makes a mistake in each query language.
func TestQueryChecksFindMistakes(t *testing.T) {
	for _, query := range []string{
		`sum(rate(http_requests_total[$__rate_interval])`,
		`sum(rate(http_requests_total{project="$project]))`,
		`rate(http_requests_total[$__rate_interval]) or`,
		`unheard_of(http_requests_total)`,
		`sum(rate(http_requests_total{project="$unknown"}[5m]))`,
		``,
	} {
		if err := checkPromQL(query, map[string]string{"project": "demo"}); err == nil {
			t.Errorf("PromQL %q: no mistake was found", query)
		}
	}
	for _, query := range []string{
		``, `{`, `{ name = "a" `, `{ name = "a" && }`, `{ name == "a" }`, `{ name =~ "(" }`, `{ name = 'a' }`, `{ resource. = "a" }`,
		`{ kind = "server" }`, `{ kind = error }`, `{ status = server }`, `{ service.name = "a" }`, `{ duration > "1s" }`, `{ duration > 5 }`,
		`{ duration =~ "1s" }`, `{ name > "a" || (kind = server) ) }`, `{ kind = server } | unknown()`, `{ "a" = "a" }`, `{ name = "a" "b" }`,
	} {
		if err := checkTraceQL(query); err == nil {
			t.Errorf("TraceQL %q: no mistake was found", query)
		}
	}
	for _, query := range []string{
		`{}`, `{ name = "a" }`, `{ resource.service.name =~ "a|b" && kind = server && duration >= 1.5s }`, `{ !(status = error || span.http.status_code >= 500) }`,
		`{ .foo != nil && span."a b" = true && rootName = "x" }`,
	} {
		if err := checkTraceQL(query); err != nil {
			t.Errorf("TraceQL %q: %v", query, err)
		}
	}
}
