//go:build integration

package mysql

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/exporters/exporter/exportertest"
)

// real starts a MariaDB server at a socket in its own folder, and returns the data
// source of the user collector, who may look at everything.
func real(t *testing.T) (source string) {
	t.Helper()
	p := exportertest.NewProgram(t, "mysql")
	data, socket := filepath.Join(p.Dir, "data"), filepath.Join(p.Dir, "socket")
	p.Do(t, exportertest.Find(t, "mariadb-install-db"), "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	db, err := sql.Open("mysql", "root@unix("+socket+")/")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p.Start(t, db.Ping, exportertest.Find(t, "mariadbd", "/usr/sbin/mariadbd"), "--no-defaults", "--datadir="+data, "--socket="+socket, "--skip-networking",
		"--pid-file="+filepath.Join(p.Dir, "pid"), "--performance-schema=ON", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M")
	for _, command := range []string{
		"CREATE DATABASE shop", "CREATE TABLE shop.orders (id int PRIMARY KEY AUTO_INCREMENT)", "INSERT INTO shop.orders VALUES ()",
		"CREATE DATABASE heartbeat", "CREATE TABLE heartbeat.heartbeat (ts varchar(26) NOT NULL, server_id int unsigned NOT NULL PRIMARY KEY)",
		"INSERT INTO heartbeat.heartbeat VALUES (NOW(6), 7)", "CREATE USER collector IDENTIFIED BY 'hunter2'", "GRANT PROCESS, REPLICATION CLIENT, SLAVE MONITOR, SELECT ON *.* TO collector",
	} {
		if _, err := db.Exec(command); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	return "data_source_name = \"collector:hunter2@unix(" + socket + ")/shop\"\n"
}

func TestTheMetricsOfARealServer(t *testing.T) {
	source := real(t)
	e := exportertest.New(t, Definition(), source)
	code, page := e.Page()
	if code != 200 || e.Health() != nil {
		t.Errorf("%d %v", code, e.Health())
	}
	for _, line := range []string{
		"mysql_up 1", "mysql_global_status_threads_connected ", `mysql_global_status_commands_total{command="select"} `, "mysql_global_variables_max_connections 151",
		"mysql_global_status_uptime ", "mysql_global_status_queries ", `mysql_version_info{`, `mysql_exporter_collector_success{collector="collect.slave_status"} 1`,
		"mysql_global_status_buffer_pool_pages{", `mysql_info_schema_innodb_cmp_compress_ops_total{`, "mysqld_exporter_build_info{",
	} {
		if !page.Has(line) {
			t.Errorf("no %s in\n%s", line, page)
		}
	}
	for collector, line := range map[string]string{
		"auto_increment.columns":       `mysql_info_schema_auto_increment_column{column="id",schema="shop",table="orders"} 2`,
		"engine_innodb_status":         `mysql_exporter_collector_success{collector="collect.engine_innodb_status"} 1`,
		"heartbeat":                    `mysql_heartbeat_stored_timestamp_seconds{server_id="7"} `,
		"info_schema.innodb_metrics":   "mysql_info_schema_innodb_metrics_",
		"info_schema.processlist":      `mysql_exporter_collector_success{collector="collect.info_schema.processlist"} 1`,
		"info_schema.tables":           `mysql_info_schema_table_rows{schema="shop",table="orders"} `,
		"info_schema.schemastats":      "mysql_up 1",
		"mysql.user":                   `mysql_mysql_max_connections{`,
		"perf_schema.eventsstatements": `mysql_exporter_collector_success{collector="collect.perf_schema.eventsstatements"} 1`,
		"perf_schema.eventswaits":      `mysql_exporter_collector_success{collector="collect.perf_schema.eventswaits"} 1`,
		"perf_schema.file_instances":   `mysql_perf_schema_file_instances_bytes{`,
		"perf_schema.indexiowaits":     `mysql_exporter_collector_success{collector="collect.perf_schema.indexiowaits"} 1`,
		"perf_schema.memory_events":    `mysql_exporter_collector_success{collector="collect.perf_schema.memory_events"} `,
		"perf_schema.tableiowaits":     `mysql_perf_schema_table_io_waits_total{`,
	} {
		if _, page := exportertest.New(t, Definition(), source+"set_collectors = [\""+collector+"\"]").Page(); !page.Has(line) {
			t.Errorf("%s: no %s in\n%s", collector, line, page)
		}
	}
	wrong := exportertest.New(t, Definition(), strings.Replace(source, "hunter2", "hunter3", 1))
	if code, page := wrong.Page(); code != 200 || !page.Has("mysql_up 0") || wrong.Health() == nil || !strings.Contains(wrong.Health().Error(), "Access denied") || strings.Contains(wrong.Health().Error(), "hunter") {
		t.Errorf("with a wrong password: %d %v\n%s", code, wrong.Health(), page)
	}
}
