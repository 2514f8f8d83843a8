package dashboards

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"collector/test/harness"
)

type datasource struct {
	Name, UID, Type, Access, URL string
	IsDefault                    bool           `yaml:"isDefault"`
	Editable                     bool           `yaml:"editable"`
	JSONData                     map[string]any `yaml:"jsonData"`
}

func loadDatasources(t *testing.T) []datasource {
	t.Helper()
	raw := readProvisioning(t, "datasources")
	var file struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []datasource
	}
	decoder := yaml.NewDecoder(strings.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatalf("datasources.yaml: %v", err)
	}
	if file.APIVersion != 1 {
		t.Errorf("datasources.yaml: apiVersion is %d", file.APIVersion)
	}
	return file.Datasources
}

func readProvisioning(t *testing.T, kind string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(grafana(), "provisioning", kind, kind+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// sourceTypes are the types of data sources by their uids.
func sourceTypes(sources []datasource) map[string]string {
	out := make(map[string]string)
	for _, s := range sources {
		out[s.UID] = s.Type
	}
	return out
}

// The uids, and the services and ports of the Compose file.
func TestDatasources(t *testing.T) {
	want := map[string][2]string{
		"victoriametrics": {"prometheus", "http://victoriametrics:8428"},
		"loki":            {"loki", "http://loki:3100"},
		"tempo":           {"tempo", "http://tempo:3200"},
		"pyroscope":       {"grafana-pyroscope-datasource", "http://pyroscope:4040"},
		"alertmanager":    {"alertmanager", "http://alertmanager:9093"},
	}
	sources := loadDatasources(t)
	defaults := 0
	for _, s := range sources {
		if got := [2]string{s.Type, s.URL}; got != want[s.UID] {
			t.Errorf("data source %q: %v, want %v", s.UID, got, want[s.UID])
		}
		if s.Name == "" || s.Access != "proxy" || s.Editable {
			t.Errorf("data source %q: want a name, access by proxy, and nothing to edit", s.UID)
		}
		if s.IsDefault {
			defaults++
		}
		for _, problem := range checkReferences(s, sourceTypes(sources)) {
			t.Error(problem)
		}
	}
	if len(sources) != len(want) || defaults != 1 {
		t.Errorf("%d data sources, %d of them the default", len(sources), defaults)
	}
}

// checkReferences looks through a data source's settings for other data
// sources that are not there, and for dollars that Grafana would take for
// environment variables.
func checkReferences(s datasource, types map[string]string) problems {
	var found problems
	visit(s.JSONData, func(key, value string) {
		if strings.EqualFold(key, "datasourceUid") || key == "alertmanagerUid" {
			if _, ok := types[value]; !ok {
				found.add("data source %q: %s: there is no data source with the uid %q", s.UID, key, value)
			}
		}
		if strings.Contains(strings.ReplaceAll(value, "$$", ""), "$") {
			found.add("data source %q: %s: write a dollar twice: %q", s.UID, key, value)
		}
	})
	return found
}

// visit calls f for each string in a tree.
func visit(tree any, f func(key, value string)) {
	switch node := tree.(type) {
	case map[string]any:
		for key, value := range node {
			if text, ok := value.(string); ok {
				f(key, text)
			}
			visit(value, f)
		}
	case []any:
		for _, value := range node {
			visit(value, f)
		}
	}
}

func TestReferenceChecksFindMistakes(t *testing.T) {
	types := map[string]string{"loki": "loki"}
	for _, data := range []map[string]any{
		{"serviceMap": map[string]any{"datasourceUid": "gone"}},
		{"alertmanagerUid": "gone"},
		{"queries": []any{map[string]any{"query": "rate(x{${__tags}}[5m])"}}},
	} {
		if len(checkReferences(datasource{JSONData: data}, types)) != 1 {
			t.Errorf("%v: no mistake was found", data)
		}
	}
	good := map[string]any{"datasourceUid": "loki", "query": "{$${__tags}}"}
	if found := checkReferences(datasource{JSONData: good}, types); found != nil {
		t.Error(found)
	}
}

// setting returns a value in a data source's settings, with its dollars as
// Grafana will have them.
func setting(t *testing.T, uid string, path ...string) any {
	t.Helper()
	for _, s := range loadDatasources(t) {
		if s.UID != uid {
			continue
		}
		var value any = s.JSONData
		for _, key := range path {
			settings, _ := value.(map[string]any)
			value = settings[key]
		}
		if text, ok := value.(string); ok {
			return strings.ReplaceAll(text, "$$", "$")
		}
		return value
	}
	return nil
}

// Each signal leads to the others.
func TestCorrelations(t *testing.T) {
	for _, c := range []struct {
		uid  string
		path []string
		want any
	}{
		{"tempo", []string{"tracesToLogsV2", "datasourceUid"}, "loki"},
		{"tempo", []string{"tracesToMetrics", "datasourceUid"}, "victoriametrics"},
		{"tempo", []string{"tracesToProfiles", "datasourceUid"}, "pyroscope"},
		{"tempo", []string{"serviceMap", "datasourceUid"}, "victoriametrics"},
		{"tempo", []string{"nodeGraph", "enabled"}, true},
		{"tempo", []string{"tracesToProfiles", "profileTypeId"}, "process_cpu:cpu:nanoseconds:cpu:nanoseconds"},
		{"victoriametrics", []string{"alertmanagerUid"}, "alertmanager"},
	} {
		if got := setting(t, c.uid, c.path...); got != c.want {
			t.Errorf("%s: %s is %v, want %v", c.uid, strings.Join(c.path, "."), got, c.want)
		}
	}
	exemplars, _ := setting(t, "victoriametrics", "exemplarTraceIdDestinations").([]any)
	if len(exemplars) != 1 || exemplars[0].(map[string]any)["name"] != "trace_id" || exemplars[0].(map[string]any)["datasourceUid"] != "tempo" {
		t.Errorf("exemplars lead to %v", exemplars)
	}
	var names []string
	for _, q := range traceMetricQueries(t) {
		names = append(names, q[0])
	}
	if want := []string{"Request rate", "Error rate", "P99"}; !slices.Equal(names, want) {
		t.Errorf("a span's metrics are %q, want %q", names, want)
	}
}

// traceMetricQueries are the names and queries that a span leads to.
func traceMetricQueries(t *testing.T) [][2]string {
	t.Helper()
	list, _ := setting(t, "tempo", "tracesToMetrics", "queries").([]any)
	var out [][2]string
	for _, item := range list {
		query, _ := item.(map[string]any)
		name, _ := query["name"].(string)
		text, _ := query["query"].(string)
		out = append(out, [2]string{name, strings.ReplaceAll(text, "$$", "$")})
	}
	return out
}

// A trace's id is found in a line of the backend, in JSON, and as a label.
func TestDerivedFields(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	fields, _ := setting(t, "loki", "derivedFields").([]any)
	byType := make(map[string]map[string]any)
	names := make(map[any]bool)
	for _, item := range fields {
		field := item.(map[string]any)
		byType[field["matcherType"].(string)] = field
		names[field["name"]] = true
		if field["datasourceUid"] != "tempo" || field["url"] != "$${__value.raw}" {
			t.Errorf("derived field %v does not open the trace", field["name"])
		}
	}
	// Grafana looks only at the first of several fields of one name.
	if len(fields) != 2 || len(names) != 2 || len(byType) != 2 {
		t.Fatalf("derived fields: %v", fields)
	}
	if got := byType["label"]["matcherRegex"]; got != "trace_id" {
		t.Errorf("the label is %q", got)
	}
	pattern := regexp.MustCompile(byType["regex"]["matcherRegex"].(string))
	for line, want := range map[string]string{
		`time=2026-01-02T03:04:05Z level=info message=request trace_id=` + id + ` span_id=00f067aa0ba902b7`: id,
		`trace_id=` + id: id,
		`{"level":"info","trace_id":"` + id + `"}`: id,
		`{"traceId": "` + id + `", "x": 1}`:        id,
		`span_trace_id=` + id + `0`:                "",
		`trace_id=4bf92f`:                          "",
		`nothing`:                                  "",
	} {
		got := ""
		if m := pattern.FindStringSubmatch(line); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("%s: trace id %q, want %q", line, got, want)
		}
	}
}

func readDeployed(t *testing.T, path ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(append([]string{harness.Root(), "deploy"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The Compose file runs what the data sources ask, and mounts the files to
// where Grafana looks for them.
func TestComposeFits(t *testing.T) {
	var compose struct {
		Services map[string]struct{ Volumes []any }
	}
	if err := yaml.Unmarshal([]byte(readDeployed(t, "compose.yaml")), &compose); err != nil {
		t.Fatal(err)
	}
	for _, s := range loadDatasources(t) {
		address, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := compose.Services[address.Hostname()]; !ok {
			t.Errorf("data source %q: the stack has no service %q", s.UID, address.Hostname())
		}
	}
	for _, mount := range []string{
		"./grafana/provisioning:/etc/grafana/provisioning:ro",
		"./grafana/dashboards:/var/lib/grafana/dashboards:ro",
	} {
		if !slices.Contains(compose.Services["grafana"].Volumes, any(mount)) {
			t.Errorf("Grafana does not mount %s", mount)
		}
	}
}

// What the data sources say about the other parts of the stack is true.
func TestDatasourcesFitTheStack(t *testing.T) {
	read := func(path ...string) string { return readDeployed(t, path...) }
	interval := regexp.MustCompile(`scrape_interval\s*=\s*"(\w+)"`).FindStringSubmatch(read("config.alloy"))
	if interval == nil {
		t.Fatal("config.alloy has no scrape_interval")
	}
	scraped, err := time.ParseDuration(interval[1])
	if err != nil {
		t.Fatal(err)
	}
	told, _ := setting(t, "victoriametrics", "timeInterval").(string)
	if d, err := time.ParseDuration(told); err != nil || d != scraped {
		t.Errorf("timeInterval is %q, the collector scrapes every %s", told, scraped)
	}
	if streaming := setting(t, "tempo", "streamingEnabled", "search"); streaming == true && !regexp.MustCompile(`(?m)^stream_over_http_enabled: true$`).MatchString(read("tempo", "tempo.yaml")) {
		t.Error("Tempo's answers are not streamed, as its data source expects")
	}
}

func TestDashboardsAreProvisioned(t *testing.T) {
	var file struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type string
			Options    struct{ Path string }
		}
	}
	if err := yaml.Unmarshal([]byte(readProvisioning(t, "dashboards")), &file); err != nil {
		t.Fatal(err)
	}
	if file.APIVersion != 1 || len(file.Providers) != 1 || file.Providers[0].Type != "file" || file.Providers[0].Options.Path != "/var/lib/grafana/dashboards" {
		t.Errorf("dashboards.yaml: %+v", file)
	}
}
