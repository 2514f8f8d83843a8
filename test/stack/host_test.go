//go:build integration

package stack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// checkNothingRejected reads the log of docker-proxy, which names what it has rejected.
func (p *environment) checkNothingRejected(t *testing.T) {
	log := p.compose(t, "logs", "docker-proxy")
	if !strings.Contains(log, "docker-proxy is running") || strings.Contains(log, "level=warn") {
		t.Errorf("docker-proxy: %s", log)
	}
}

// checkWithHost starts what is collected, with the host's files in the collector's
// container.
func checkWithHost(t *testing.T, engine *isolated) {
	p := &environment{
		engine: engine, name: "hosted", files: []string{"compose.yaml", "compose.host.yaml"},
		env: []string{"GRAFANA_PORT=3002", "BACKEND_PORT=8002", "COLLECTOR_PORT=12349", "FARO_PORT=12350"},
	}
	t.Cleanup(func() { p.down(t) })
	p.up(t, "backend", "collector", "victoriametrics", "loki")
	harness.Eventually(t, time.Minute, func() error {
		if n := len(p.series(t, `up{job="containers", project="hosted"} == 1`)); n != 2 {
			return fmt.Errorf("%d targets are up", n)
		}
		return p.checkLines(t, p.received(t, "loki", ":3100").Lines)
	})
	p.checkHost(t)
	t.Run("nothing is rejected", p.checkNothingRejected)
	t.Run("the collector is locked in", p.checkLockedIn)
	t.Run("what it does not ask for is rejected", p.checkRejections)
}

// checkHost checks what compose.host.yaml adds: the host's own file system, and
// what only cgroups tell.
func (p *environment) checkHost(t *testing.T) {
	t.Helper()
	for _, query := range []string{`node_filesystem_size_bytes{mountpoint="/"} > 0`, `container_oom_events_total{project="hosted",service="backend"}`} {
		harness.Eventually(t, time.Minute, func() error {
			if len(p.series(t, query)) == 0 {
				return fmt.Errorf("there is no %s", query)
			}
			return nil
		})
	}
}

// checkLockedIn looks for ways out of the collector's container: by a group, by
// Docker's socket, and by the process that has it.
func (p *environment) checkLockedIn(t *testing.T) {
	all := p.containers(t)
	collector, proxy := all["collector"], all["docker-proxy"]
	if groups := collector.HostConfig.GroupAdd; len(groups) > 0 {
		t.Errorf("the collector is in the groups %v", groups)
	}
	for service, c := range all {
		has := slices.ContainsFunc(c.HostConfig.Binds, func(bind string) bool { return strings.HasPrefix(bind, p.engine.socket+":") })
		if has != (service == "docker-proxy") {
			t.Errorf("%s has Docker's socket: %v, in %v", service, has, c.HostConfig.Binds)
		}
	}
	// The collector's own binary reads what it is given as a configuration: the
	// error says whether it could.
	denied := func(command, path string) (bool, string) {
		out, err := p.engine.command(nil, "docker", "exec", collector.ID, "/bin/collector", command, path).CombinedOutput()
		if err == nil && command == "validate" || strings.Contains(string(out), "no such file") {
			t.Errorf("%s %s: %v, %d bytes of output", command, path, err, len(out))
		}
		return strings.Contains(string(out), "permission denied"), fmt.Sprintf("%v, %d bytes of output", err, len(out)) // which may be secret
	}
	environ := func(pid int) string { return fmt.Sprintf("/rootfs/proc/%d/environ", pid) }
	for _, way := range []struct {
		command, path string
		denied        bool
	}{
		{"validate", "/rootfs/etc/passwd", false},
		{"validate", "/rootfs/etc/shadow", true},
		{"healthcheck", "unix:///run/docker-proxy/docker.sock", false},
		{"healthcheck", "unix:///rootfs" + p.engine.socket, true},
		// Who may read a process's environment may write to its memory.
		{"validate", environ(collector.State.Pid), false},
		{"validate", environ(proxy.State.Pid), true},
	} {
		if is, said := denied(way.command, way.path); is != way.denied {
			t.Errorf("%s %s is denied: %v; %s", way.command, way.path, is, said)
		}
	}
}

// checkRejections makes requests to the real Engine through the collector's socket that
// the collector does not make.
func (p *environment) checkRejections(t *testing.T) {
	all := p.containers(t)
	id, socket := all["collector"].ID, ""
	for _, mount := range all["collector"].Mounts {
		if mount.Destination == "/run/docker-proxy" {
			socket = filepath.Join(mount.Source, "docker.sock")
			if mount.RW {
				t.Error("the collector may write to the directory of its socket")
			}
		}
	}
	ask := func(line, rest string) (int, string) {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: docker\r\n%s\r\n", line, rest)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		defer resp.Body.Close()
		var said struct{ Message string }
		_ = json.NewDecoder(resp.Body).Decode(&said) // what is let through says something else
		return resp.StatusCode, said.Message
	}
	if status, said := ask("GET /v1.41/containers/"+id+"/json", ""); status != http.StatusOK {
		t.Errorf("an inspection: %d %s", status, said)
	}
	lines := []string{
		"POST /v1.41/containers/create?name=x", "POST /v1.41/containers/" + id + "/exec", "POST /v1.41/containers/" + id + "/attach?stream=1",
		"POST /v1.41/containers/" + id + "/kill", "DELETE /v1.41/containers/" + id, "POST /v1.41/build", "POST /v1.41/images/create?fromImage=x",
		"PUT /v1.41/containers/" + id + "/archive?path=/", "GET /v1.41/containers/" + id + "/archive?path=/rootfs/etc/passwd",
		"HEAD /v1.41/containers/" + id + "/archive?path=/rootfs/etc/passwd", "GET /v1.41/containers/" + id + "/export", "GET /v1.41/containers/" + id + "/top",
		"GET /v1.41/containers/" + id + "/attach/ws?stream=1", "GET /v1.41/images/json", "GET /v1.41/images/collector:latest/get", "GET /v1.41/volumes",
		"GET /v1.41/secrets", "GET /v1.41/services", "GET /v1.41/system/df", "GET /v1.41/containers/x/../../images/json", "GET /v1.41/containers/%2e%2e/images/json",
		"GET /v1.41//images/json", "GET http://docker/v1.41/info", "GET /v1.41/events", "GET /v1.41/containers/" + id + "/stats", "GET /v1.41/containers/json?size=1",
	}
	for _, line := range lines {
		status, said := ask(line, "")
		method, _, _ := strings.Cut(line, " ")
		if status != http.StatusForbidden || method != http.MethodHead && !strings.Contains(said, "collector docker-proxy rejects "+method) {
			t.Errorf("%s: %d %s", line, status, said)
		}
	}
	for _, rest := range []string{"Connection: Upgrade\r\nUpgrade: tcp\r\n", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"} {
		if status, said := ask("GET /v1.41/containers/json", rest); status != http.StatusForbidden {
			t.Errorf("%q: %d %s", rest, status, said)
		}
	}
	if n := strings.Count(p.compose(t, "logs", "docker-proxy"), "rejected a request to the Docker Engine"); n < 20 {
		t.Errorf("docker-proxy names %d requests that it has rejected", n)
	}
}
