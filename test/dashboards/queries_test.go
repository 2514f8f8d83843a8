package dashboards

import (
	"errors"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
)

// checkPromQL parses a query as VictoriaMetrics does, with values in place of
// its variables. Prometheus's own parser is asked, too, by
// TestParsersOfTheStores.
func checkPromQL(query string, values map[string]string) error {
	if strings.TrimSpace(query) == "" {
		return errors.New("empty")
	}
	text, err := interpolate(query, values)
	if err != nil {
		return err
	}
	parsed, err := metricsql.Parse(text)
	if err != nil {
		return err
	}
	var unknown error
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		call, ok := e.(*metricsql.FuncExpr)
		if ok && !metricsql.IsRollupFunc(call.Name) && !metricsql.IsTransformFunc(call.Name) {
			unknown = errors.New("unknown function " + call.Name)
		}
	})
	return unknown
}

// spanVariables are the variables of a span's links, with Grafana's kind of values.
func spanVariables(query string) string {
	return strings.NewReplacer(
		`${__tags}`, `service="backend"`,
		`${__span.name}`, `GET /api/items/{item_id}`,
		`${__span.traceId}`, `4bf92f3577b34da6a3ce929d0e0e4736`,
	).Replace(query)
}

// queriesOf are a dashboard's queries of a type of data source, by panel. A
// query for the values of a variable is represented by its selector.
func queriesOf(d dashboard, sourceType string) map[string][]string {
	out := make(map[string][]string)
	for _, p := range d.Panels {
		for _, t := range p.Targets {
			if t.Datasource.Type == sourceType && t.text() != "" {
				out[p.Title] = append(out[p.Title], t.text())
			}
		}
	}
	for _, v := range d.Templating.List {
		if v.Datasource.Type == sourceType {
			out["variable "+v.Name] = []string{labelValues.FindStringSubmatch(v.Query.Query)[1]}
		}
	}
	return out
}

// allPromQL and allLogQL are the texts of all queries, with values in place of
// variables, and where each is.
func allPromQL(t *testing.T) map[string]string { return allQueries(t, "prometheus", spanMetrics(t)) }

func allLogQL(t *testing.T) map[string]string {
	query, _ := setting(t, "tempo", "tracesToLogsV2", "query").(string)
	return allQueries(t, "loki", map[string]string{spanVariables(query): "traces to logs"})
}

func spanMetrics(t *testing.T) map[string]string {
	out := make(map[string]string)
	for _, q := range traceMetricQueries(t) {
		out[spanVariables(q[1])] = "traces to metrics: " + q[0]
	}
	return out
}

func allQueries(t *testing.T, sourceType string, out map[string]string) map[string]string {
	t.Helper()
	for file, d := range loadDashboards(t) {
		for where, queries := range queriesOf(d, sourceType) {
			for _, query := range queries {
				for _, values := range choices(d, true) {
					text, err := interpolate(query, values)
					if err != nil {
						t.Errorf("%s: %s: %v", file, where, err)
					}
					out[text] = file + ": " + where
				}
			}
		}
	}
	return out
}

func TestPromQL(t *testing.T) {
	queries := allPromQL(t)
	for query, where := range queries {
		if err := checkPromQL(query, nil); err != nil {
			t.Errorf("%s: %v\n%s", where, err, query)
		}
	}
	if len(queries) < 100 {
		t.Errorf("only %d queries were checked", len(queries))
	}
}

func TestTraceQL(t *testing.T) {
	checked := 0
	for file, d := range loadDashboards(t) {
		for where, queries := range queriesOf(d, "tempo") {
			for _, query := range queries {
				for _, values := range choices(d, false) {
					text, err := interpolate(query, values)
					if err == nil {
						err = checkTraceQL(text)
					}
					if err != nil {
						t.Errorf("%s: %s: %v\n%s", file, where, err, text)
					}
					checked++
				}
			}
		}
	}
	if checked == 0 {
		t.Error("no query was checked")
	}
}

// Pyroscope's selectors have the form of PromQL's.
func TestProfileSelectors(t *testing.T) {
	for file, d := range loadDashboards(t) {
		for where, queries := range queriesOf(d, "grafana-pyroscope-datasource") {
			for _, query := range queries {
				for _, values := range choices(d, false) {
					if err := checkPromQL(query, values); err != nil {
						t.Errorf("%s: %s: %v\n%s", file, where, err, query)
					}
				}
			}
		}
	}
}
