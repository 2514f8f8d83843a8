//go:build integration

package memcached

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheMetricsOfARealServer(t *testing.T) {
	program, err := exec.LookPath("memcached")
	if err != nil {
		t.Fatalf("make setup installs it: %v", err)
	}
	socket := filepath.Join(t.TempDir(), "socket")
	cmd := exec.Command(program, "-u", "root", "-s", socket, "-a", "0777", "-m", "16")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var conn net.Conn
	for deadline := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
		if conn, err = net.Dial("unix", socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "set a 0 0 1\r\n7\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len("STORED\r\n"))
	if _, err := conn.Read(answer); err != nil || string(answer) != "STORED\r\n" {
		t.Fatalf("%q, %v", answer, err)
	}
	m := exported(t, fmt.Sprintf("address = %q", socket))
	code, body := m.page()
	for _, line := range []string{
		"memcached_up 1\n", "memcached_current_items 1\n", `memcached_commands_total{command="set",status="hit"} 1`, "memcached_limit_bytes 1.6777216e+07\n",
		"memcached_uptime_seconds ", "memcached_max_connections ", `memcached_slab_current_items{slab="1"} 1`, "memcached_lru_crawler_enabled 1\n",
	} {
		if code != 200 || !strings.Contains(body, line) {
			t.Errorf("%d, no %s in\n%s", code, line, body)
		}
	}
	if err := m.Health(); err != nil {
		t.Error(err)
	}
}
