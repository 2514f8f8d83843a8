package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	library "github.com/prometheus/mysqld_exporter/collector"

	"collector/pkg/cause/causetest"
	"collector/pkg/component"
	"collector/pkg/exporters/exporter/exportertest"
)

// privileges is a row of the table of users.
func privileges() [][]string {
	columns, row := []string{"user", "host"}, []string{"me", "%"}
	for i := range 29 {
		columns, row = append(columns, fmt.Sprintf("Power%d_priv", i)), append(row, "Y")
	}
	for _, name := range []string{"max_questions", "max_updates", "max_connections", "max_user_connections"} {
		columns, row = append(columns, name), append(row, "7")
	}
	return [][]string{columns, row}
}

func tables() map[string][][]string {
	return map[string][][]string{
		"SELECT @@version":               {{"version"}, {"10.11.6-MariaDB"}},
		"SHOW GLOBAL STATUS":             {{"name", "value"}, {"Threads_connected", "7"}},
		"SHOW GLOBAL VARIABLES":          {{"name", "value"}, {"max_connections", "151"}},
		"information_schema.processlist": {{"user", "host", "command", "state", "processes", "seconds"}, {"me", "web", "Query", "", "3", "5"}},
		"file_summary_by_instance":       {{"f", "e", "r", "w", "br", "bw"}, {"/var/lib/mysql/shop", "wait", "1", "2", "3", "4"}},
		"memory_summary_global":          {{"e", "a", "f", "u"}, {"memory/sql", "1", "2", "3"}},
		"FROM mysql.user":                privileges(),
	}
}

// testdata/alloy.txt lists the metrics that Alloy 1.12 gave without a server.
func TestWithoutAServerThePageMatchesAlloys(t *testing.T) {
	address := causetest.Refusing(t)
	e := exportertest.New(t, Definition(), "data_source_name = \"root:hunter2@("+address+")/shop\"")
	code, page := e.Page()
	if page.IsAlloys(t); code != 200 || !page.Has("mysql_up 0") {
		t.Errorf("%d %s", code, page)
	}
	target := e.Targets()[0]
	if target["instance"] != "tcp("+address+")/shop" || target["job"] != "integrations/mysql" {
		t.Errorf("the target is %v", target)
	}
	if err := e.Health(); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("its health is %v", err)
	}
	if shown := fmt.Sprint(page, target, e.Status(), e.Health()); strings.Contains(shown, "hunter2") {
		t.Errorf("the password is shown: %s", shown)
	}
}

const set = "set_collectors = [%q]\n"

func TestArgumentsAreSeenOnThePage(t *testing.T) {
	s := newServer(t, tables())
	code, page := exportertest.New(t, Definition(), s.settings()).Page()
	for _, line := range []string{"mysql_up 1", "mysql_global_status_threads_connected 7", "mysql_global_variables_max_connections 151", `mysql_exporter_collector_success{collector="collect.slave_status"} 1`, "mysqld_exporter_build_info{"} {
		if code != 200 || !page.Has(line) {
			t.Errorf("%d, no %s in\n%s", code, line, page)
		}
	}
	processes, files, memory, users := fmt.Sprintf(set, "info_schema.processlist"), fmt.Sprintf(set, "perf_schema.file_instances"), fmt.Sprintf(set, "perf_schema.memory_events"), fmt.Sprintf(set, "mysql.user")
	for _, e := range []exportertest.Effect{
		{Settings: `enable_collectors = ["mysql.user"]`, With: `mysql_mysql_max_connections{`},
		{Settings: `disable_collectors = ["global_status"]`, Without: "mysql_global_status_threads_connected 7"},
		{Settings: `set_collectors = ["global_status"]`, Without: "mysql_global_variables_max_connections 151"},
		{Settings: "set_collectors = [\"global_status\", \"mysql.user\"]\ndisable_collectors = [\"global_status\"]", With: "mysql_mysql_max_connections{", Without: "mysql_global_status_threads_connected 7"},
		{Settings: processes, With: `mysql_info_schema_processlist_processes_by_user{mysql_user="me"} 3`},
		{Settings: processes, With: `mysql_info_schema_processlist_processes_by_host{client_host="web"} 3`},
		{Settings: files, With: `mysql_perf_schema_file_instances_bytes{event_name="wait",file_name="/shop",mode="read"} 3`},
		{Settings: files + "perf_schema.file_instances {\n remove_prefix = \"/var\"\n}", With: `mysql_perf_schema_file_instances_bytes{event_name="wait",file_name="/lib/mysql/shop",mode="read"} 3`},
		{Settings: memory, With: `mysql_perf_schema_memory_events_used_bytes{event_name="sql"} 3`},
		{Settings: memory + "perf_schema.memory_events {\n remove_prefix = \"m\"\n}", With: `mysql_perf_schema_memory_events_used_bytes{event_name="emory/sql"} 3`},
		{Settings: users + "mysql.user {\n privileges = true\n}", With: `mysql_mysql_power7_priv{`},
	} {
		e.Check(t, Definition(), s.settings())
	}
	for line, argument := range map[string]string{"mysql_info_schema_processlist_processes_by_user{": "processes_by_user", "mysql_info_schema_processlist_processes_by_host{": "processes_by_host"} {
		if _, page := exportertest.New(t, Definition(), s.settings()+processes+"info_schema.processlist {\n "+argument+" = false\n}").Page(); page.Has(line) || !page.Has("mysql_info_schema_processlist_threads{") {
			t.Errorf("%s = false: %s", argument, page)
		}
	}
	if _, page := exportertest.New(t, Definition(), s.settings()+users).Page(); page.Has("mysql_mysql_power7_priv{") {
		t.Error("privileges are on the page by default")
	}
}

func TestSettingsAreWhatTheServerIsAsked(t *testing.T) {
	s := newServer(t, tables())
	for settings, want := range map[string]string{
		"lock_wait_timeout = 7":  "lock_wait_timeout = 7",
		"log_slow_filter = true": "log_slow_filter = 'tmp_table_on_disk,filesort_on_disk'",
		fmt.Sprintf(set, "info_schema.processlist") + "info_schema.processlist {\n min_time = 7\n}":             "TIME >= 7",
		fmt.Sprintf(set, "info_schema.tables") + "info_schema.tables {\n databases = \"a,b\"\n}":                "TABLE_SCHEMA = 'b'",
		fmt.Sprintf(set, "info_schema.tables"):                                                                  "FROM information_schema.schemata",
		fmt.Sprintf(set, "perf_schema.eventsstatements") + "perf_schema.eventsstatements {\n limit = 7\n}":      "LIMIT 7",
		fmt.Sprintf(set, "perf_schema.eventsstatements") + "perf_schema.eventsstatements {\n time_limit = 7\n}": "INTERVAL 7 SECOND",
		fmt.Sprintf(set, "perf_schema.eventsstatements") + "perf_schema.eventsstatements {\n text_limit = 7\n}": "LEFT(DIGEST_TEXT, 7)",
		fmt.Sprintf(set, "perf_schema.file_instances") + "perf_schema.file_instances {\n filter = \"shop\"\n}":  "FILE_NAME REGEXP 'shop'",
		fmt.Sprintf(set, "heartbeat") + "heartbeat {\n database = \"d\"\n table = \"t\"\n}":                     "UNIX_TIMESTAMP(NOW(6)), server_id from `d`.`t`",
		fmt.Sprintf(set, "heartbeat") + "heartbeat {\n utc = true\n}":                                           "UNIX_TIMESTAMP(UTC_TIMESTAMP(6)), server_id from `heartbeat`.`heartbeat`",
	} {
		exportertest.New(t, Definition(), s.settings()+settings).Page()
		s.mu.Lock()
		sent := strings.Join(s.queries, "\n")
		s.mu.Unlock()
		if !s.asked(want) {
			t.Errorf("%s: no %s in\n%s", settings, want, sent)
		}
	}
}

func TestExportersWithOtherSettingsDoNotAffectEachOther(t *testing.T) {
	s := newServer(t, tables())
	prefixes := map[string]exportertest.Exporter{}
	for _, prefix := range []string{"/var", "/var/lib"} {
		prefixes[prefix] = exportertest.New(t, Definition(), s.settings()+fmt.Sprintf(set, "perf_schema.file_instances")+fmt.Sprintf("perf_schema.file_instances {\n remove_prefix = %q\n}", prefix))
	}
	for prefix, e := range prefixes {
		if _, page := e.Page(); !page.Has(`mysql_perf_schema_file_instances_bytes{event_name="wait",file_name="` + strings.TrimPrefix("/var/lib/mysql/shop", prefix) + `"`) {
			t.Errorf("%s: %s", prefix, page)
		}
	}
}

func TestAServerThatHangsFailsItsOwnScrapeOnly(t *testing.T) {
	s := newServer(t, tables())
	hangs := exportertest.New(t, Definition(), "data_source_name = \"me@tcp("+exportertest.Hanging(t)+")/\"")
	for _, want := range []string{"no response", "previous scrape"} {
		if code, page := hangs.Scrape(hangs.Targets()[0], "0.05"); code != 500 || !strings.Contains(page.String(), want) {
			t.Errorf("%d %s, want %s", code, page, want)
		}
	}
	if err := hangs.Health(); err == nil || !strings.Contains(err.Error(), "no response") {
		t.Errorf("its health is %v", err)
	}
	other := exportertest.New(t, Definition(), s.settings())
	if code, page := other.Page(); code != 200 || !page.Has("mysql_up 1") || other.Health() != nil {
		t.Errorf("another one: %d %v\n%s", code, other.Health(), page)
	}
}

func TestAPanicOfAScraperIsAnError(t *testing.T) {
	g := guard(library.ScrapeUser{}, func(context.Context, int, chan<- prometheus.Metric, *slog.Logger) error { panic("at the disco") })
	if err := g.Scrape(t.Context(), 1, nil, nil); err == nil || !strings.Contains(err.Error(), "at the disco") {
		t.Error(err)
	}
	wrong := errors.New("wrong")
	g = guard(library.ScrapeUser{}, func(context.Context, int, chan<- prometheus.Metric, *slog.Logger) error { return wrong })
	if err := g.Scrape(t.Context(), 1, nil, nil); err != wrong || g.Name() != "mysql.user" {
		t.Error(err)
	}
}

func TestWhatFailsIsShown(t *testing.T) {
	answers := tables()
	answers["information_schema.processlist"][1][4] = "many"
	s := newServer(t, answers)
	e := exportertest.New(t, Definition(), s.settings()+fmt.Sprintf(set, "info_schema.processlist"))
	if code, page := e.Page(); code != 200 || !page.Has(`mysql_exporter_collector_success{collector="collect.info_schema.processlist"} 0`) || !page.Has("mysql_up 1") {
		t.Errorf("%d %s", code, page)
	}
	if err := e.Health(); err == nil || !strings.Contains(err.Error(), "info_schema.processlist: ") || !strings.Contains(err.Error(), `"many"`) {
		t.Errorf("its health is %v", err)
	}
}

func TestAMissingCollectorIsWarnedOf(t *testing.T) {
	var warned []string
	cfg := Config{}
	cfg.SetToDefault()
	cfg.EnableCollectors = []string{"mysql.user", "mysql.usr"}
	got := scrapers(&cfg, component.Options{Warn: func(path, why string) { warned = append(warned, path+": "+why) }})
	if len(warned) != 1 || !strings.HasPrefix(warned[0], `enable_collectors: there is no collector "mysql.usr"; there are: auto_increment.columns, `) {
		t.Errorf("%q", warned)
	}
	if !slices.ContainsFunc(got, func(s library.Scraper) bool { return s.Name() == "mysql.user" }) || len(got) != len(always())+1 {
		t.Errorf("%d scrapers", len(got))
	}
}

func TestInstances(t *testing.T) {
	for source, want := range map[string]string{
		"root:hunter2@(db:3307)/shop":               "tcp(db:3307)/shop",
		"root:hunter2@tcp(db)/":                     "tcp(db:3306)/",
		"root@unix(/run/mysqld.sock)/?charset=utf8": "unix(/run/mysqld.sock)/",
		"/": "tcp(127.0.0.1:3306)/",
	} {
		if got, err := instance(source); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", source, got, err, want)
		}
	}
	t.Setenv(variable, "me:hunter2@tcp(db)/")
	if e := exportertest.New(t, Definition(), ""); e.Targets()[0]["instance"] != "tcp(127.0.0.1:3306)/" {
		t.Errorf("of the variable: %v", e.Targets())
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	exportertest.RefusesArguments(t, Definition(), map[string]string{
		"":                                   variable,
		`data_source_name = "hunter2"`:       "missing the slash",
		`data_source_name = "me:hunter2@x/"`: "it is not valid; for example: user:",
		`data_source_name = "me:hunter2@tcp(db)/?timeout=x"`: "it is not valid",
	})
}

func FuzzAPasswordIsInNoInstance(f *testing.F) {
	f.Add("me:", "", "@tcp(db:3306)/")
	f.Add(":", "@", "(x)/?a=b")
	f.Fuzz(func(t *testing.T, user, rest, host string) {
		const secret = "hunter2hunter2"
		if _, err := instance(user + secret + rest + host); err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error has it: %v", err)
		}
		if name, err := instance("me:" + secret + "@tcp(db:3306)/" + strings.ReplaceAll(host, "/", "")); err == nil && strings.Contains(name, secret) && !strings.Contains(host, secret) {
			t.Errorf("%s", name)
		}
	})
}
