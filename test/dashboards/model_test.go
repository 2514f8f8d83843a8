// Package dashboards checks what Grafana is provisioned with: that it is well
// formed, that its queries parse, and (with the tag integration) that the
// queries for metrics find data which the real backend and the real collector
// have produced.
package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"collector/test/harness"
)

// dashboard is what is checked of a dashboard; Grafana knows many more fields.
type dashboard struct {
	UID           string
	Title         string
	Description   string
	SchemaVersion int
	Tags          []string
	Templating    struct{ List []variable }
	Panels        []panel
}

type variable struct {
	Name, Type, Label, AllValue string
	Multi, IncludeAll           bool
	Datasource                  source
	Definition                  string
	Query                       struct{ Query string }
}

type source struct{ Type, UID string }

type panel struct {
	ID          int
	Type, Title string
	Description string
	Datasource  *source
	GridPos     struct{ H, W, X, Y int }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []target
	Panels      []panel // of a collapsed row
}

type target struct {
	RefID         string
	Datasource    *source
	QueryType     string
	LegendFormat  string
	Range         bool
	Instant       bool
	Expr          string // Prometheus and Loki
	Query         string // Tempo
	LabelSelector string // Pyroscope
	ProfileTypeID string
}

// dashboards by the names of their files.
func loadDashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(grafana(), "dashboards", "*"))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]dashboard)
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d, err := parseDashboard(raw)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out[filepath.Base(path)] = d
	}
	return out
}

func parseDashboard(raw []byte) (dashboard, error) {
	var d dashboard
	return d, json.Unmarshal(raw, &d)
}

func grafana() string { return filepath.Join(harness.Root(), "deploy", "grafana") }

// text is the query of a target, in whichever language.
func (t target) text() string { return t.Expr + t.Query + t.LabelSelector }

var variablePattern = regexp.MustCompile(`\$(\w+)|\$\{(\w+)(?::\w+)?\}|\[\[(\w+)(?::\w+)?\]\]`)

// variablesOf lists the variables that a text uses, as $name or ${name:format}.
func variablesOf(text string) []string {
	var out []string
	for _, m := range variablePattern.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1]+m[2]+m[3])
	}
	return out
}

// builtins are the variables that Grafana itself defines, with what it might
// put in their place.
var builtins = map[string]string{
	"__rate_interval": "20s",
	"__interval":      "5s",
	"__auto":          "5s",
	"__range":         "30m",
}

// interpolate puts values in place of variables, as Grafana does.
func interpolate(text string, values map[string]string) (string, error) {
	var unknown []string
	out := variablePattern.ReplaceAllStringFunc(text, func(found string) string {
		name := variablesOf(found)[0]
		if value, ok := builtins[name]; ok {
			return value
		}
		value, ok := values[name]
		if !ok {
			unknown = append(unknown, name)
		}
		return value
	})
	if len(unknown) > 0 {
		return "", fmt.Errorf("no such variable: %s", strings.Join(unknown, ", "))
	}
	return out, nil
}

// choices are values as Grafana writes them into a query: one value, several,
// and all of them. In PromQL and LogQL it escapes what a regular expression
// would take for its own.
func choices(d dashboard, escape bool) []map[string]string {
	one, several, all := map[string]string{}, map[string]string{}, map[string]string{}
	for _, v := range d.Templating.List {
		value := "/api/items/{item_id}"
		if escape {
			value = `/api/items/\\{item_id\\}`
		}
		one[v.Name], several[v.Name], all[v.Name] = value, value+"|b", v.AllValue
		if escape {
			several[v.Name] = "(" + several[v.Name] + ")"
		}
	}
	return []map[string]string{one, several, all}
}

// problems gathers what is wrong.
type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }
