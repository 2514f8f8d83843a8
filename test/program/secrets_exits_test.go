package program

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// addresses are configurations with an address that is rejected or cannot be used, and so
// is quoted.
func addresses() map[string]string {
	write := func(url string) string { return "loki.write \"z\" {\n\tendpoint {\n\t\turl = " + url + "\n\t}\n}\n" }
	engine := func(host string) string { return "discovery.docker \"z\" {\n\thost = " + host + "\n}\n" }
	return map[string]string{
		"a URL with a wrong port":       write(`"http://user:PLANTED-port@h:port/?key=PLANTED-port-key"`),
		"a URL with a wrong escape":     write(`"http://h/%zz?key=PLANTED-escape-key&sig=PLANTED-escape-sig"`),
		"an Engine without a scheme":    engine(`"user:PLANTED-no-scheme@h:2375"`),
		"an Engine with a wrong scheme": engine(`"ssh://user:PLANTED-scheme@h?key=PLANTED-scheme-key"`),
		"an Engine with a wrong port":   engine(`"tcp://user:PLANTED-engine-port@h:port"`),
		"a proxy without a scheme":      "discovery.docker \"z\" {\n\thost = \"http://h\"\n\tproxy_url = \"user:PLANTED-proxy@h:1\"\n}\n",
	}
}

// A rejected address is quoted: by validate, at the start and by a reload.
func TestNoRejectionShowsASecret(t *testing.T) {
	running := harness.NewCollector(t, good)
	running.Start(t)
	for name, text := range addresses() {
		c := harness.NewCollector(t, text)
		validated := c.Command(t, "validate", c.Config())
		<-validated.Done()
		outputs := map[string]string{"validate": validated.Output()}
		if validated.ExitCode() != 0 { // otherwise it would run
			started := c.Command(t, "run", c.Config(), "--server.http.listen-addr=127.0.0.1:0", "--storage.path="+c.Storage)
			<-started.Done()
			outputs["run"] = started.Output()
		}
		running.Configure(t, text)
		_, outputs["reload"] = running.Reload(t)
		for _, path := range []string{"/", "/configuration", "/api/v1/configuration", "/api/v1/overview"} {
			_, outputs[path] = status(t, running.URL+path)
		}
		for exit, out := range outputs {
			if strings.Contains(out, planted) {
				t.Errorf("%s: %s shows a secret: %s", name, exit, around(out))
			}
		}
	}
	running.Stop(t)
	if out := running.Output(); strings.Contains(out, planted) {
		t.Errorf("the log shows a secret: %s", around(out))
	}
}

// The built-in configuration has its addresses from the environment.
func TestTheBuiltInConfigurationShowsNoSecret(t *testing.T) {
	for _, host := range []string{"tcp://user:PLANTED-docker@127.0.0.1:1?key=PLANTED-docker-key", "user:PLANTED-docker@127.0.0.1:1"} {
		c := harness.NewCollector(t, "", "DOCKER_HOST="+host, "COLLECTOR_METRICS_URL=http://user:PLANTED-metrics@127.0.0.1:1/api/v1/write?key=PLANTED-metrics-key",
			"COLLECTOR_LOGS_URL=http://user:PLANTED-logs@127.0.0.1:1/loki/api/v1/push?sig=PLANTED-logs-sig")
		c.Launch(t)
		harness.Eventually(t, time.Minute, func() error {
			if out := c.Output(); !strings.Contains(out, "no Docker Engine") && !strings.Contains(out, "Error: ") {
				return fmt.Errorf("it says nothing of the Engine: %s", out)
			}
			return nil
		})
		c.Terminate(t, time.Minute)
		if out := c.Output(); strings.Contains(out, planted) || !strings.Contains(out, "127.0.0.1:1") {
			t.Errorf("the log shows a secret, or nothing: %s", out)
		}
	}
}

// Commands also list waiting data, and try to deliver it; health checks keep what
// healthcheck prints.
func TestNoCommandShowsASecret(t *testing.T) {
	backend := gossip(t)
	text := fmt.Sprintf(`
		logging { write_to = [loki.write.x.receiver] }
		loki.write "x" {
			endpoint {
				url     = "http://user:PLANTED-url@%s/loki/api/v1/push?key=PLANTED-key"
				headers = { "X-Api-Key" = "PLANTED-header" }
			}
		}`, strings.TrimPrefix(backend.URL, "http://"))
	c := harness.NewCollector(t, text)
	c.Start(t)
	harness.Eventually(t, time.Minute, func() error {
		if !strings.Contains(c.Output(), "no entry for") {
			return fmt.Errorf("nothing has failed yet: %s", c.Output())
		}
		return nil
	})
	c.Stop(t)
	show := func(want string, args ...string) string {
		t.Helper()
		p := c.Command(t, args...)
		<-p.Done()
		if out := p.Output(); strings.Contains(out, planted) || !strings.Contains(out, want) {
			t.Errorf("%q shows a secret, or no %q: %s", args, want, out)
		}
		return p.Output()
	}
	list := strings.Split(strings.TrimSpace(show("loki.write.x", "queue", "list", "--storage.path="+c.Storage)), "\n")
	folder, _, _ := strings.Cut(list[len(list)-1], " ")
	show("items remain", "queue", "drain", folder, "--storage.path="+c.Storage, "--config="+c.Config(), "--to=loki.write.x", "--timeout=1s")
	show("127.0.0.1:1", "healthcheck", "http://user:PLANTED-check@127.0.0.1:1/?key=PLANTED-check-key")
	show("503", "healthcheck", "http://user:PLANTED-check@"+strings.TrimPrefix(backend.URL, "http://")+"/?key=PLANTED-check-key")
}

// What a client sends with a bad request is not logged, and its answer is not about
// anybody else.
func TestWhatClientsSendIsNotLogged(t *testing.T) {
	http1, profiles := harness.FreePort(t), harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		logging { level = "debug" }
		http {
			auth {
				basic {
					username = "user"
					password = "PLANTED-password"
				}
				filter {
					paths = ["/-/ready"]
					authenticate_matching_paths = false
				}
			}
		}
		otelcol.receiver.otlp "x" {
			http { endpoint = "127.0.0.1:%d" }
			output { }
		}
		pyroscope.receive_http "x" {
			http {
				listen_address = "127.0.0.1"
				listen_port    = %d
			}
			forward_to = []
		}`, http1, profiles))
	c.Start(t)
	for _, url := range []string{
		c.URL + "/", c.URL + "/-/reload", c.URL + "/debug/pprof/trace?seconds=3600", c.URL + "/nothing?token=PLANTED-query",
		"http://" + harness.Address(http1) + "/v1/traces", "http://" + harness.Address(http1) + "/v1/nothing?token=PLANTED-query",
		"http://" + harness.Address(profiles) + "/ingest?name=x&key=PLANTED-query", "http://" + harness.Address(profiles) + "/nothing?key=PLANTED-query",
	} {
		for _, set := range []func(*http.Request){
			func(r *http.Request) { r.SetBasicAuth("user", "PLANTED-guess") },
			func(r *http.Request) { r.Header.Set("Authorization", "Bearer PLANTED-bearer") },
			func(r *http.Request) {
				r.Header.Set("X-Api-Key", "PLANTED-header")
				r.Header.Set("Content-Type", "application/json")
			},
		} {
			r, err := http.NewRequest(http.MethodPost, url, strings.NewReader("not what is expected"))
			if err != nil {
				t.Fatal(err)
			}
			set(r)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if strings.Contains(string(body), planted) {
				t.Errorf("%s: the answer shows a secret: %s", url, around(string(body)))
			}
		}
	}
	c.Stop(t)
	if out := c.Output(); strings.Contains(out, planted) {
		t.Errorf("the log shows a secret: %s", around(out))
	}
}
