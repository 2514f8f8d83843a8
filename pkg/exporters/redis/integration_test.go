//go:build integration

package redis

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"collector/pkg/listen/listentest"

	"github.com/gomodule/redigo/redis"
)

// real starts a redis-server at a socket in its own folder, which it returns the
// address of. The arguments are more of its settings.
func real(t *testing.T, arguments ...string) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("make setup installs it: %v", err)
	}
	dir, err := os.MkdirTemp("", "redis") // the path of a socket has at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	log, socket := filepath.Join(dir, "log"), filepath.Join(dir, "socket")
	cmd := exec.Command(program, append([]string{"--dir", dir, "--logfile", log, "--unixsocket", socket, "--save", "", "--port", "0", "--bind", "127.0.0.1"}, arguments...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var last error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if last = ping(socket); last == nil {
			return "unix://" + socket
		}
		<-time.After(10 * time.Millisecond)
	}
	text, _ := os.ReadFile(log)
	t.Fatalf("it does not answer: %v\n%s", last, text)
	return ""
}

func ping(socket string) error {
	conn, err := redis.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Do("PING")
	return err
}

// do sends commands to the server at an address.
func do(t *testing.T, address string, commands ...string) {
	t.Helper()
	conn, err := redis.Dial("unix", strings.TrimPrefix(address, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, command := range commands {
		words := strings.Fields(command)
		arguments := redis.Args{}.AddFlat(words[1:])
		if _, err := conn.Do(words[0], arguments...); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
}

func TestTheMetricsOfARealServer(t *testing.T) {
	address := real(t)
	do(t, address, "SET a 7", "SELECT 2", "SET b 7")
	r := exported(t, fmt.Sprintf("redis_addr = %q", address))
	code, page := r.page()
	if code != 200 || r.Health() != nil {
		t.Errorf("%d %v", code, r.Health())
	}
	for _, line := range []string{
		"redis_up 1", `redis_exporter_last_scrape_error{err=""} 0`, `redis_db_keys{db="db0"} 1`, `redis_db_keys{db="db2"} 1`,
		"redis_connected_clients 1", `redis_commands_total{cmd="set"} 2`, `redis_instance_info{`, "redis_memory_used_bytes ", "redis_memory_max_bytes 0",
		"redis_uptime_in_seconds ", "redis_commands_processed_total ", "redis_keyspace_hits_total ", "redis_slowlog_length ", `redis_commands_latencies_usec_bucket{cmd="set"`,
		"redis_start_time_seconds ", "redis_config_maxclients ", `redis_exporter_build_info{`,
	} {
		if !has(page, line) {
			t.Errorf("no %s in\n%s", line, strings.Join(page, "\n"))
		}
	}
}

func TestARealServerIsAskedAsConfigured(t *testing.T) {
	address := real(t)
	do(t, address, "SET number 7", "SET text hello", "RPUSH list:1 a b", "RPUSH list:2 a", "XADD stream * a b", "XGROUP CREATE stream group 0", "SELECT 3", "SET other 1")
	script := script(t)
	const keys = "check_single_keys = [\"number\", \"text\"]\n"
	for _, e := range []effect{
		{"include_exporter_metrics = true", "promhttp_metric_handler_requests_total", ""},
		{`namespace = "kv"`, "kv_up 1", "redis_up 1"},
		{`config_command = "-"`, "", "redis_config_maxclients "},
		{`check_keys = ["list:*"]`, `redis_key_size{db="db0",key="list:1"} 2`, ""},
		{`check_keys = ["db3=ot*"]`, `redis_key_value{db="db3",key="other"} 1`, ""},
		{keys, `redis_key_value{db="db0",key="number"} 7`, ""},
		{keys, `redis_key_value_as_string{db="db0",key="text",val="hello"} 1`, ""},
		{groups, `redis_key_group_count{db="db0",key_group="list"} 2`, ""},
		{groups + "max_distinct_key_groups = 1", `redis_key_group_count{db="db0",key_group="overflow"}`, ""},
		{`check_streams = ["str*"]`, `redis_stream_length{db="db0",stream="stream"} 1`, ""},
		{`check_single_streams = ["stream"]`, `redis_stream_groups{db="db0",stream="stream"} 1`, ""},
		{`count_keys = ["list:*"]`, `redis_keys_count{db="db0",key="list:*"} 2`, ""},
		{fmt.Sprintf("script_path = %q", script), fmt.Sprintf("redis_script_values{filename=%q,key=\"answer\"} 42", script), ""},
		{fmt.Sprintf("script_paths = [%q]", script), fmt.Sprintf("redis_script_values{filename=%q,key=\"answer\"} 42", script), ""},
		{"export_client_list = true", `redis_connected_client_info{`, ""},
		{"ping_on_connect = true", "redis_exporter_last_scrape_ping_time_seconds ", ""},
		{"incl_system_metrics = true", "redis_total_system_memory_bytes ", ""},
	} {
		e.check(t, address)
	}
	_, page := exported(t, fmt.Sprintf("redis_addr = %q\n%sexport_key_values = false", address, keys)).page()
	if has(page, "redis_key_value") || !has(page, `redis_key_size{db="db0",key="number"} 1`) {
		t.Error("values of keys are on the page, or their sizes are not")
	}
}

func TestClientsOfARealServerHaveTheirPorts(t *testing.T) {
	port := strconv.Itoa(listentest.FreePort(t))
	real(t, "--port", port)
	for settings, want := range map[string]bool{"": false, "export_client_port = true": true} {
		_, page := exported(t, fmt.Sprintf("redis_addr = %q\nexport_client_list = true\n%s", "127.0.0.1:"+port, settings)).page()
		i := slices.IndexFunc(page, func(line string) bool { return strings.HasPrefix(line, "redis_connected_client_info{") })
		if i < 0 || strings.Contains(page[i], ` port="`) || strings.Contains(page[i], `,port="`) != want {
			t.Errorf("%s: %s", settings, strings.Join(page, "\n"))
		}
	}
}

func TestKeysOfARealCluster(t *testing.T) {
	port := strconv.Itoa(listentest.FreePort(t))
	address := real(t, "--port", port, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(listentest.FreePort(t)))
	do(t, address, "CLUSTER ADDSLOTSRANGE 0 16383")
	for deadline := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
		_, page := exported(t, fmt.Sprintf("redis_addr = %q", address)).page()
		if has(page, "redis_cluster_state 1") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the cluster is not up:\n%s", strings.Join(page, "\n"))
		}
	}
	do(t, address, "SET number 7")
	_, page := exported(t, fmt.Sprintf("redis_addr = %q\nis_cluster = true\ncheck_keys = [\"num*\"]", "127.0.0.1:"+port)).page()
	if !has(page, `redis_key_value{db="db0",key="number"} 7`) {
		t.Errorf("%s", strings.Join(page, "\n"))
	}
}

func TestARealServerWithTLS(t *testing.T) {
	port := strconv.Itoa(listentest.FreePort(t))
	certFile, keyFile := certified(t)
	real(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile)
	checkTLS(t, port, certFile, keyFile)
}
