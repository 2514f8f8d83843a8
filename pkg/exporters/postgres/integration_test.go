//go:build integration

package postgres

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"collector/pkg/exporters/exporter/exportertest"
)

// real starts a PostgreSQL server at a socket in its own folder, and returns the URL
// of its database shop, which the user collector may look at.
func real(t *testing.T) (source string) {
	t.Helper()
	bin := filepath.Dir(exportertest.Find(t, "/usr/lib/postgresql/*/bin/postgres"))
	p := exportertest.NewProgram(t, "postgres")
	data := filepath.Join(p.Dir, "data")
	p.Do(t, filepath.Join(bin, "initdb"), "-D", data, "-U", "admin", "--auth=trust", "--no-sync", "--locale=C")
	admin := "postgres://admin@/postgres?sslmode=disable&host=" + p.Dir
	db, err := sql.Open("postgres", admin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	p.Start(t, db.Ping, filepath.Join(bin, "postgres"), "-D", data, "-k", p.Dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_preload_libraries=pg_stat_statements")
	for _, command := range []string{
		"CREATE DATABASE shop", "CREATE DATABASE private", "REVOKE CONNECT ON DATABASE private FROM PUBLIC", "CREATE USER collector", "GRANT pg_monitor TO collector",
	} {
		if _, err := db.Exec(command); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	shop, err := sql.Open("postgres", "postgres://admin@/shop?sslmode=disable&host="+p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer shop.Close()
	for _, command := range []string{"CREATE EXTENSION pg_stat_statements", "CREATE TABLE orders (state text, n int)", "INSERT INTO orders VALUES ('open', 7)", "GRANT SELECT ON orders TO collector"} {
		if _, err := shop.Exec(command); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	return "postgres://collector@/shop?sslmode=disable&host=" + p.Dir
}

// connections are how many the user collector has.
func connections(t *testing.T, source string) (n int) {
	t.Helper()
	db, err := sql.Open("postgres", source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE usename = 'collector' AND pid != pg_backend_pid()").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTheMetricsOfARealServer(t *testing.T) {
	source := real(t)
	e := exportertest.New(t, Definition(), sources(source))
	code, page := e.Page()
	if code != 200 || e.Health() != nil {
		t.Errorf("%d %v", code, e.Health())
	}
	for _, line := range []string{
		"pg_up 1", `pg_database_size_bytes{datname="shop"} `, `pg_database_connection_limit{datname="private"} -1`, `pg_stat_database_xact_commit{datid="`,
		`pg_stat_user_tables_n_live_tup{datname="shop",relname="orders",schemaname="public"} 1`, `pg_locks_count{datname="shop",mode="accesssharelock"} `,
		`pg_settings_max_connections{server="`, `pg_static{server="`, "pg_stat_bgwriter_checkpoints_timed_total ", "pg_wal_segments ", "pg_replication_is_replica 0",
		`pg_roles_connection_limit{rolname="collector"} -1`, `pg_stat_activity_count{`, "pg_exporter_last_scrape_error 0", "postgres_exporter_build_info{",
	} {
		if !page.Has(line) {
			t.Errorf("no %s in\n%s", line, page)
		}
	}
	queries := queries(t)
	for _, x := range []exportertest.Effect{
		{Settings: queries, With: `shop_orders_n{server="`},
		{Settings: "disable_settings_metrics = true", Without: "pg_settings_max_connections{"},
		{Settings: `enabled_collectors = ["stat_statements"]`, With: `pg_stat_statements_calls_total{`},
		{Settings: "enabled_collectors = [\"stat_statements\"]\nstat_statements {\n include_query = true\n}", With: `pg_stat_statements_query_id{`},
		{Settings: `enabled_collectors = ["database_wraparound", "long_running_transactions", "postmaster", "process_idle", "stat_activity_autovacuum", "statio_user_indexes"]`, With: "pg_postmaster_start_time_seconds "},
		{Settings: "autodiscovery {\n database_denylist = [\"private\"]\n}", Without: `pg_database_size_bytes{datname="private"}`},
		{Settings: "autodiscovery {\n enabled = true\n database_denylist = [\"private\"]\n}", Without: `pg_database_size_bytes{datname="private"}`},
	} {
		x.Check(t, Definition(), sources(source))
	}
	// What a scrape has left open is closed when the component stops.
	if connections(t, source) == 0 {
		t.Error("scrapes leave no connection open: this test shows nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := connections(t, source)
	if err := e.Run(ctx); err != nil {
		t.Error(err)
	}
	for connections(t, source) >= before { // until the server has noticed, or the test's time is over
	}
}
