package dashboards

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// required are the panels that a dashboard has to have.
var required = map[string][]string{
	"full-observability.json": {
		"Apdex", "Error rate", "Total requests", "Workers",
		"RPS total", "RPS by path", "RPS by status code",
		"P50 total", "P50 by path", "P95 total", "P95 by path", "P99 total", "P99 by path",
		"Top 10 slowest endpoints", "Average duration by endpoint",
		"Requests in progress total", "Requests in progress by path",
		"4xx by path", "5xx by path", "Exceptions by type",
		"Service map", "Recent traces",
		"Span RPS by operation", "Span P99 by operation", "Span error rate by operation",
		"Log volume by level", "Log stream",
		"CPU time", "Flame graph",
	},
	"collector.json": {
		"Collectors up", "Configuration", "Unhealthy components", "Destinations down",
		"Received by signal", "Read by source",
		"Delivered by destination", "Delivery attempts by outcome", "Destinations up",
		"Items waiting by destination", "Bytes waiting by destination", "Age of the oldest item waiting", "Queue fill by destination",
		"Dropped by reason", "Dropped before the queues", "Refused by full queues",
		"Log lag", "Docker connection", "Targets up", "Targets down",
		"Memory", "Processor", "Goroutines", "Configuration reloads",
	},
	"host.json": {
		"Uptime",
		"CPUs",
		"CPU used",
		"Memory used",
		"Fullest disk",
		"Load per CPU",
		"CPU by mode",
		"Load",
		"Pressure",
		"Processes",
		"Memory by use",
		"Memory available",
		"Swap",
		"OOM kills and major page faults",
		"Disk used",
		"Disk space available",
		"Disk throughput",
		"Disk time in use",
		"Context switches and interrupts",
		"Open files",
	},
	"frontend.json": {
		"Page views", "Sessions", "Errors", "Errors per page view", "Page views by page", "Page views by browser",
		"Largest contentful paint", "Interaction to next paint", "Cumulative layout shift", "First contentful paint", "Time to first byte",
		"Web vitals (P75)", "Largest contentful paint by page",
		"Errors by type", "Most frequent errors", "Errors and log lines",
	},
	"containers.json": {
		"Containers running",
		"CPU cores in use",
		"Memory in use",
		"Fullest memory limit",
		"Received",
		"Sent",
		"CPU by container",
		"CPU throttled by container",
		"Memory by container",
		"Memory of limit by container",
		"Received by container",
		"Sent by container",
		"Packets dropped and failed",
		"Disk by container",
		"Age by container",
		"Restarts by Docker",
	},
}

var requiredVariables = map[string][]string{
	"full-observability.json": {"project", "service", "method", "path"},
	"collector.json":          {"project", "collector"},
	"host.json":               {"project", "host"},
	"containers.json":         {"project", "service"},
	"frontend.json":           {"project", "service"},
}

// measuring are the types of panels that show numbers, which need a unit.
var measuring = []string{"timeseries", "stat", "bargauge", "state-timeline"}

var panelTypes = append([]string{"row", "nodeGraph", "table", "logs", "flamegraph"}, measuring...)

func TestDashboardsAreWellFormed(t *testing.T) {
	sources := sourceTypes(loadDatasources(t))
	dashboards := loadDashboards(t)
	for name := range required {
		if _, ok := dashboards[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	uids := make(map[string]string)
	for name, d := range dashboards {
		if other, ok := uids[d.UID]; ok {
			t.Errorf("%s and %s have the same uid", name, other)
		}
		uids[d.UID] = name
		for _, problem := range check(name, d, sources) {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

// The files are written one way, so that a change exported by Grafana or made
// by hand shows as just that change.
func TestDashboardsAreFormatted(t *testing.T) {
	for name := range loadDashboards(t) {
		path := filepath.Join(grafana(), "dashboards", name)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(raw), "\n")
		for i, line := range lines[:len(lines)-1] {
			indent := len(line) - len(strings.TrimLeft(line, " "))
			if indent%2 != 0 || strings.Contains(line, "\t") || line != strings.TrimRight(line, " ") {
				t.Errorf("%s:%d: indent by two spaces: %q", name, i+1, line)
			}
		}
		if lines[len(lines)-1] != "" {
			t.Errorf("%s does not end with a line break", name)
		}
	}
}

// check returns what is wrong with a dashboard, except for its queries' syntax.
func check(name string, d dashboard, sources map[string]string) problems {
	var found problems
	if d.UID == "" || d.Title == "" || d.Description == "" || d.SchemaVersion == 0 {
		found.add("uid, title, description and schemaVersion are needed")
	}
	if !slices.Contains(d.Tags, "observability") {
		found.add("without the tag observability, other dashboards have no link to it")
	}
	for _, title := range required[name] {
		if !slices.ContainsFunc(d.Panels, func(p panel) bool { return p.Title == title }) {
			found.add("panel %q is missing", title)
		}
	}
	found.checkVariables(name, d, sources)
	found.checkGrid(d.Panels)
	ids, titles := make(map[int]bool), make(map[string]bool)
	for _, p := range d.Panels {
		if p.ID <= 0 || ids[p.ID] {
			found.add("panel %q: the id %d is taken or none", p.Title, p.ID)
		}
		if p.Title == "" || titles[p.Title] {
			found.add("panel %d: the title %q is taken or none", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		found.checkPanel(p, sources)
	}
	return found
}

func (found *problems) checkPanel(p panel, sources map[string]string) {
	if !slices.Contains(panelTypes, p.Type) {
		found.add("panel %q: unknown type %q", p.Title, p.Type)
	}
	if p.Type == "row" {
		if len(p.Panels) > 0 {
			found.add("row %q is collapsed: its panels would not be checked", p.Title)
		}
		return
	}
	if p.Description == "" {
		found.add("panel %q has no description", p.Title)
	}
	if slices.Contains(measuring, p.Type) && p.FieldConfig.Defaults.Unit == "" {
		found.add("panel %q has no unit", p.Title)
	}
	if len(p.Targets) == 0 {
		found.add("panel %q has no query", p.Title)
	}
	found.checkSource("panel "+p.Title, p.Datasource, sources)
	refs := make(map[string]bool)
	for _, target := range p.Targets {
		if target.RefID == "" || refs[target.RefID] {
			found.add("panel %q: the refId %q is taken or none", p.Title, target.RefID)
		}
		refs[target.RefID] = true
		found.checkSource("panel "+p.Title, target.Datasource, sources)
		found.checkTarget(p, target)
	}
}

func (found *problems) checkSource(where string, s *source, sources map[string]string) {
	if s == nil {
		found.add("%s has no data source", where)
	} else if want, ok := sources[s.UID]; !ok {
		found.add("%s: there is no data source with the uid %q", where, s.UID)
	} else if s.Type != want {
		found.add("%s: data source %q is of type %q, not %q", where, s.UID, want, s.Type)
	}
}

// profileType is "name:sample:unit:period:unit".
var profileType = regexp.MustCompile(`^\w+(:\w+){4}$`)

func (found *problems) checkTarget(p panel, t target) {
	if t.Datasource == nil {
		return
	}
	// A service map without a selector shows every service.
	if strings.TrimSpace(t.text()) == "" && t.QueryType != "serviceMap" {
		found.add("panel %q: query %s is empty", p.Title, t.RefID)
	}
	queryTypes := map[string][]string{
		"prometheus":                   {""},
		"loki":                         {"range", "instant"},
		"tempo":                        {"traceql", "serviceMap"},
		"grafana-pyroscope-datasource": {"metrics", "profile"},
	}[t.Datasource.Type]
	if !slices.Contains(queryTypes, t.QueryType) {
		found.add("panel %q: unknown query type %q", p.Title, t.QueryType)
	}
	switch t.Datasource.Type {
	case "prometheus":
		if t.Range == t.Instant {
			found.add("panel %q: query %s has to be either range or instant", p.Title, t.RefID)
		}
		found.checkLegend(p, t)
	case "loki":
		if p.Type != "logs" {
			found.checkLegend(p, t)
		}
	case "grafana-pyroscope-datasource":
		if !profileType.MatchString(t.ProfileTypeID) {
			found.add("panel %q: profile type %q", p.Title, t.ProfileTypeID)
		}
	}
}

var legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// checkLegend wants a legend, without labels that the query removes.
func (found *problems) checkLegend(p panel, t target) {
	if t.LegendFormat == "" {
		found.add("panel %q: query %s has no legend", p.Title, t.RefID)
	}
	for _, m := range legendLabel.FindAllStringSubmatch(t.LegendFormat, -1) {
		if !groupsBy(t.Expr, m[1]) {
			found.add("panel %q: the legend uses the label %q, which query %s does not group by", p.Title, m[1], t.RefID)
		}
	}
}

var grouping = regexp.MustCompile(`\bby\s*\(([^)]*)\)`)

func groupsBy(expr, label string) bool {
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, name := range strings.Split(m[1], ",") {
			if strings.TrimSpace(name) == label {
				return true
			}
		}
	}
	return false
}

func (found *problems) checkGrid(panels []panel) {
	for i, a := range panels {
		g := a.GridPos
		if g.X < 0 || g.Y < 0 || g.W <= 0 || g.H <= 0 || g.X+g.W > 24 {
			found.add("panel %q is not within the 24 columns: %+v", a.Title, g)
		}
		for _, b := range panels[i+1:] {
			o := b.GridPos
			if g.X < o.X+o.W && o.X < g.X+g.W && g.Y < o.Y+o.H && o.Y < g.Y+g.H {
				found.add("panels %q and %q overlap", a.Title, b.Title)
			}
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.+), *(\w+)\)$`)

func (found *problems) checkVariables(name string, d dashboard, sources map[string]string) {
	used, defined := make(map[string]bool), make(map[string]bool)
	for _, v := range d.Templating.List {
		found.checkSource("variable "+v.Name, &v.Datasource, sources)
		if v.Type != "query" || v.Label == "" || !v.Multi || !v.IncludeAll || v.AllValue != ".*" {
			found.add("variable %q: want a labeled query of several values or all (.*)", v.Name)
		}
		if v.Definition != v.Query.Query || !labelValues.MatchString(v.Query.Query) {
			found.add("variable %q: query %q", v.Name, v.Query.Query)
		}
		for _, other := range variablesOf(v.Query.Query) {
			if !defined[other] {
				found.add("variable %q uses %q, which is not defined before it", v.Name, other)
			}
			used[other] = true
		}
		defined[v.Name] = true
	}
	for _, want := range requiredVariables[name] {
		if !defined[want] {
			found.add("variable %q is missing", want)
		}
	}
	for _, p := range d.Panels {
		raw, _ := json.Marshal(p) // strings and numbers only
		for _, v := range variablesOf(string(raw)) {
			if _, builtin := builtins[v]; !builtin && !defined[v] {
				found.add("panel %q uses the variable %q, which is not defined", p.Title, v)
			}
			used[v] = true
		}
	}
	for v := range defined {
		if !used[v] {
			found.add("variable %q is not used", v)
		}
	}
}
