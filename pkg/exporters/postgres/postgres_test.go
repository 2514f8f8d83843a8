package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/cause/causetest"
	"collector/pkg/exporters/exporter"
	"collector/pkg/exporters/exporter/exportertest"
)

func sources(one string) string { return fmt.Sprintf("data_source_names = [%q]", one) }

// tables are what a server has with the databases shop, a and b.
func tables() map[string]table {
	return map[string]table{
		"SELECT version()":                {[]string{"version"}, [][]string{{"PostgreSQL 15.4 (made up)"}}},
		"FROM pg_settings":                {[]string{"name", "setting", "unit", "short_desc", "vartype"}, [][]string{{"max_connections", "100", "", "Most connections.", "integer"}}},
		"datname != current_database()":   {[]string{"datname"}, [][]string{{"a"}, {"b"}}},
		"pg_database.datconnlimit FROM":   {[]string{"datname", "datconnlimit"}, [][]string{{"a", "-1"}, {"b", "7"}}},
		"pg_database_size($1)":            {[]string{"size"}, [][]string{{"4096"}}},
		"SELECT state, n FROM orders":     {[]string{"state", "n"}, [][]string{{"open", "7"}}},
		"LEFT(pg_stat_statements.query, ": {[]string{"user", "datname", "queryid", "query", "calls_total", "seconds_total", "rows_total", "r", "w"}, [][]string{{"me", "shop", "1", "SELECT 1", "3", "0.5", "3", "0", "0"}}},
	}
}

func queries(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queries.yaml")
	text := `shop_orders:
  query: "SELECT state, n FROM orders"
  metrics:
    - state: {usage: "LABEL", description: "State"}
    - n: {usage: "GAUGE", description: "Number"}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("custom_queries_config_path = %q\n", path)
}

// testdata/alloy.txt lists the metrics that Alloy 1.12 gave without a server.
func TestWithoutAServerThePageMatchesAlloys(t *testing.T) {
	address := causetest.Refusing(t)
	e := exportertest.New(t, Definition(), sources("postgresql://u:hunter2@"+address+"/db1?sslmode=disable"))
	code, page := e.Page()
	if page.IsAlloys(t); code != 200 || !page.Has("pg_up 0") {
		t.Errorf("%d %s", code, page)
	}
	target := e.Targets()[0]
	if target["instance"] != "postgresql://"+address+"/db1" || target["job"] != "integrations/postgres" {
		t.Errorf("the target is %v", target)
	}
	if err := e.Health(); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("its health is %v", err)
	}
	if shown := fmt.Sprint(page, target, e.Status(), e.Health()); strings.Contains(shown, "hunter2") {
		t.Errorf("the password is shown: %s", shown)
	}
}

func TestArgumentsAreSeenOnThePage(t *testing.T) {
	s := newServer(t, tables())
	base, queries := sources(s.source()), queries(t)
	code, page := exportertest.New(t, Definition(), base).Page()
	for _, line := range []string{
		"pg_up 1", `pg_static{server="` + s.address + `",short_version="15.4.0",version="PostgreSQL 15.4 (made up)"} 1`,
		`pg_scrape_collector_success{collector="database"} 1`, `pg_database_size_bytes{datname="a"} 4096`, "postgres_exporter_build_info{",
	} {
		if code != 200 || !page.Has(line) {
			t.Errorf("%d, no %s in\n%s", code, line, page)
		}
	}
	for _, e := range []exportertest.Effect{
		{Settings: "disable_settings_metrics = true", Without: `pg_settings_max_connections{`},
		{Settings: queries, With: `shop_orders_n{server="` + s.address + `",state="open"} 7`},
		{Settings: queries + "disable_default_metrics = true", Without: "pg_static{"},
		{Settings: queries + "disable_default_metrics = true", Without: "pg_scrape_collector_success{"},
		{Settings: `enabled_collectors = ["stat_statements"]`, With: `pg_scrape_collector_success{collector="stat_statements"} `},
		{Settings: `enabled_collectors = ["locks"]`, Without: `pg_database_size_bytes{datname="a"} 4096`},
		{Settings: "autodiscovery {\n database_denylist = [\"a\"]\n}", Without: `pg_database_connection_limit{datname="a"} -1`},
		{Settings: "enabled_collectors = [\"stat_statements\"]\nstat_statements {\n include_query = true\n}", With: `pg_stat_statements_query_id{query="SELECT 1",queryid="1"} 1`},
	} {
		e.Check(t, Definition(), base)
	}
}

func TestDatabasesAreDiscovered(t *testing.T) {
	s := newServer(t, tables())
	for settings, want := range map[string]map[string]bool{
		"":               {"shop": true},
		"enabled = true": {"shop": true, "a": true, "b": true},
		"enabled = true\ndatabase_denylist = [\"a\"]":  {"shop": true, "b": true},
		"enabled = true\ndatabase_allowlist = [\"a\"]": {"shop": true, "a": true},
	} {
		s.asked("")
		code, page := exportertest.New(t, Definition(), sources(s.source())+"\nautodiscovery {\n"+settings+"\n}").Page()
		_, got := s.asked("")
		if diff := cmp.Diff(want, got); diff != "" || code != 200 || !page.Has("pg_up 1") {
			t.Errorf("%q: %d (-want +got) %s", settings, code, diff)
		}
	}
}

func TestQueriesHaveTheLengthThatIsSet(t *testing.T) {
	s := newServer(t, tables())
	for settings, want := range map[string]string{
		"include_query = true":                   "LEFT(pg_stat_statements.query, 120)",
		"include_query = true\nquery_length = 7": "LEFT(pg_stat_statements.query, 7)",
	} {
		exportertest.New(t, Definition(), sources(s.source())+"\nenabled_collectors = [\"stat_statements\"]\nstat_statements {\n"+settings+"\n}").Page()
		if found, _ := s.asked(want); !found {
			t.Errorf("%s: no query has %s", settings, want)
		}
	}
}

// The library makes each collector once for the whole program.
func TestExportersWithOtherSettingsDoNotAffectEachOther(t *testing.T) {
	s := newServer(t, tables())
	const block = "\nenabled_collectors = [\"database\", \"stat_statements\"]\n"
	base := sources(s.source()) + block
	exporters := []exportertest.Exporter{
		exportertest.New(t, Definition(), base+"autodiscovery {\n database_denylist = [\"a\"]\n}\nstat_statements {\n include_query = true\n}"),
		exportertest.New(t, Definition(), base+"autodiscovery {\n database_denylist = [\"b\"]\n}"),
		exportertest.New(t, Definition(), base),
	}
	for range 2 {
		for i, want := range [][3]bool{{false, true, true}, {true, false, false}, {true, true, false}} {
			_, page := exporters[i].Page()
			got := [3]bool{page.Has(`pg_database_size_bytes{datname="a"}`), page.Has(`pg_database_size_bytes{datname="b"}`), page.Has("pg_stat_statements_query_id{")}
			if got != want {
				t.Errorf("exporter %d has %v, want %v\n%s", i, got, want, page)
			}
		}
	}
}

func TestAServerThatHangsFailsItsOwnScrapeOnly(t *testing.T) {
	s := newServer(t, tables())
	hangs := exportertest.New(t, Definition(), sources("postgres://"+exportertest.Hanging(t)+"/shop?sslmode=disable"))
	for _, want := range []string{"no response", "previous scrape"} {
		if code, page := hangs.Scrape(hangs.Targets()[0], "0.05"); code != 500 || !strings.Contains(page.String(), want) {
			t.Errorf("%d %s, want %s", code, page, want)
		}
	}
	if err := hangs.Health(); err == nil || !strings.Contains(err.Error(), "no response") {
		t.Errorf("its health is %v", err)
	}
	other := exportertest.New(t, Definition(), sources(s.source())+"\nenabled_collectors = [\"locks\"]")
	if code, page := other.Page(); code != 200 || !page.Has("pg_up 1") || other.Health() != nil {
		t.Errorf("another one: %d %v\n%s", code, other.Health(), page)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := hangs.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestAPanicOfACollectorIsAnError(t *testing.T) {
	g := guard(func(context.Context, int, chan<- prometheus.Metric) error { panic("at the disco") })
	if err := g.Update(t.Context(), 1, nil); err == nil || !strings.Contains(err.Error(), "at the disco") {
		t.Error(err)
	}
	wrong := errors.New("wrong")
	if err := guard(func(context.Context, int, chan<- prometheus.Metric) error { return wrong }).Update(t.Context(), 1, nil); err != wrong {
		t.Error(err)
	}
}

func TestWhatFailsIsShown(t *testing.T) {
	answers := tables()
	answers["FROM pg_settings"] = table{[]string{"name", "setting", "unit", "short_desc", "vartype"}, [][]string{{"size", "many", "", "", "integer"}}}
	answers["SELECT pg_database_size($1)"] = table{[]string{"size"}, [][]string{{"big"}}}
	delete(answers, "pg_database_size($1)")
	s := newServer(t, answers)
	e := exportertest.New(t, Definition(), sources(s.source())+"\nenabled_collectors = [\"database\"]\ndisable_settings_metrics = true")
	if code, page := e.Page(); code != 200 || !page.Has(`pg_scrape_collector_success{collector="database"} 0`) {
		t.Errorf("%d %s", code, page)
	}
	status := e.Status().(exporter.ServerStatus)
	if !strings.Contains(status.Error, "database: ") || !strings.Contains(status.Error, `"big"`) || status.LastScrape.IsZero() {
		t.Errorf("%+v", status)
	}
}

func TestInstances(t *testing.T) {
	for source, want := range map[string]string{
		"postgresql://u:hunter2@db:5433/shop?sslmode=disable": "postgresql://db:5433/shop",
		"postgres://db/shop":                    "postgresql://db/shop",
		"postgres://":                           "postgresql://localhost:5432/",
		"postgres:///shop?host=/run/postgresql": "postgresql:///run/postgresql/shop",
		"postgres://a:1,b:2/shop":               "postgresql://a:1,b:2/shop",
		"postgres://[::1]:5432/shop":            "postgresql://::1:5432/shop",
		"postgres://db?dbname=shop&port=7":      "postgresql://db:7/shop",
	} {
		if got, err := instance(source); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", source, got, err, want)
		}
	}
	t.Setenv(variable, "postgres://a/x")
	if e := exportertest.New(t, Definition(), ""); e.Targets()[0]["instance"] != "postgresql://a/x" {
		t.Errorf("of the variable: %v", e.Targets())
	}
	t.Setenv(variable, "postgres://a/x,host=b user=me")
	if e := exportertest.New(t, Definition(), ""); e.Targets()[0]["instance"] != "prometheus.exporter.postgres.x" {
		t.Errorf("of two: %v", e.Targets())
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	exportertest.RefusesArguments(t, Definition(), map[string]string{
		"":                                    variable,
		sources("postgres://u:hunter2%zz@h/"): "not a valid URL",
		sources("host=db user=me password=hunter2"): "must be a URL",
		sources(""): "the first data source is empty",
		sources("postgres://h") + "\ndisable_default_metrics = true":                                                       "nothing would be on the page",
		sources("postgres://h") + "\nenabled_collectors = [\"lock\"]":                                                      "lock",
		sources("postgres://h") + "\nenabled_collectors = [\"locks\"]\n" + "disable_default_metrics = true\n" + queries(t): "disables all collectors",
	})
}

func FuzzAPasswordIsInNoInstance(f *testing.F) {
	f.Add("postgres://", "me", "%zz", "@db:5432/shop")
	f.Add("", "", "", "@[::1]:1")
	f.Fuzz(func(t *testing.T, scheme, user, rest, host string) {
		const secret = "hunter2hunter2"
		name, err := instance(scheme + user + ":" + secret + rest + "@" + host)
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error has it: %v", err)
		}
		if scheme == "postgres://" && !strings.ContainsAny(user+rest, "/?#@") && strings.Contains(name, secret) {
			t.Errorf("%s", name)
		}
	})
}
