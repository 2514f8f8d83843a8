// Package program runs the real binary for what concerns the program itself:
// start, readiness, reload, signals. It needs neither Docker nor a backend.
package program

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"collector/test/harness"
)

func status(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestTheBuiltInConfigurationSaysWhatItLacks(t *testing.T) {
	c := harness.NewCollector(t, "", "DOCKER_HOST=unix:///nowhere.sock")
	c.Start(t)
	for path, want := range map[string]string{"/-/ready": "Alloy is ready.\n", "/-/healthy": "All Alloy components are healthy.\n"} {
		if code, body := status(t, c.URL+path); code != 200 || body != want {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	out := c.Output()
	for _, want := range []string{"metrics: off", "logs: off", "traces: off", "profiles: off", "COLLECTOR_LOGS_URL", "no Docker Engine", "nothing is collected"} {
		if !strings.Contains(out, want) {
			t.Errorf("the log does not say %q:\n%s", want, out)
		}
	}
	c.Stop(t)
}

func TestAPortInUseEndsTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	receiver := fmt.Sprintf("otelcol.receiver.otlp \"x\" {\n\tgrpc { endpoint = %q }\n\toutput { }\n}\n", address)
	for name, test := range map[string]struct{ config, flag, option string }{
		"http": {"", "--server.http.listen-addr=" + address, "--server.http.listen-addr"},
		"otlp": {receiver, "--server.http.listen-addr=127.0.0.1:0", "otelcol.receiver.otlp.x"},
	} {
		c := harness.NewCollector(t, test.config)
		c.Launch(t, test.flag)
		select {
		case <-c.Done():
		case <-time.After(time.Minute):
			t.Fatalf("%s: it runs on:\n%s", name, c.Output())
		}
		if out := c.Output(); c.ExitCode() == 0 || !strings.Contains(out, address) || !strings.Contains(out, test.option) {
			t.Errorf("%s: exit code %d:\n%s", name, c.ExitCode(), out)
		}
	}
}

func TestTwoComponentsCannotListenOnOnePort(t *testing.T) {
	port := harness.FreePort(t)
	receiver := func(label string, port int) string {
		return fmt.Sprintf("otelcol.receiver.otlp %q {\n\tgrpc { endpoint = \"127.0.0.1:%d\" }\n\toutput { }\n}\n", label, port)
	}
	c := harness.NewCollector(t, receiver("a", port)+receiver("b", port))
	c.Launch(t)
	<-c.Done()
	for _, want := range []string{fmt.Sprint(port), "otelcol.receiver.otlp.a", "otelcol.receiver.otlp.b"} {
		if c.ExitCode() == 0 || !strings.Contains(c.Output(), want) {
			t.Errorf("exit code %d, no %s:\n%s", c.ExitCode(), want, c.Output())
		}
	}

	// At a reload the port moves from one to the other, but is never shared.
	c.Configure(t, receiver("a", port))
	c.Start(t)
	c.Configure(t, receiver("b", port))
	if code, body := c.Reload(t); code != 200 {
		t.Errorf("moving the port: %d %s", code, body)
	}
	c.Configure(t, receiver("b", port)+receiver("c", port))
	if code, body := c.Reload(t); code != 400 || !strings.Contains(body, "otelcol.receiver.otlp.c") {
		t.Errorf("sharing the port: %d %s", code, body)
	}
	c.Configure(t, receiver("b", port))
	if code, body := c.Reload(t); code != 200 {
		t.Errorf("after the refused reload: %d %s", code, body)
	}
	c.Stop(t)
}

const good = `logging { level = "debug" }`

func TestAReloadIsAllOrNothing(t *testing.T) {
	c := harness.NewCollector(t, good)
	c.Start(t)
	if code, body := c.Reload(t); code != 200 || body != "config reloaded\n" {
		t.Errorf("%d %q", code, body)
	}
	c.Configure(t, "logging { level = \"loud\" }\n\nloki.wriite \"x\" { }")
	code, body := c.Reload(t)
	if code != 400 || !strings.HasPrefix(body, "error during the initial load: ") || !strings.Contains(body, "config.alloy:1:") || !strings.Contains(body, "config.alloy:3:1") {
		t.Errorf("%d %q", code, body)
	}
	if got := c.Metric(t, "alloy_config_last_load_successful"); got != 0 {
		t.Errorf("alloy_config_last_load_successful is %v", got)
	}
	if code, _ := status(t, c.URL+"/-/ready"); code != 200 {
		t.Errorf("not ready after a failed reload: %d", code)
	}
	c.Configure(t, good)
	c.HUP()
	harness.Eventually(t, 10*time.Second, func() error {
		if c.Metric(t, "alloy_config_last_load_successful") != 1 {
			return fmt.Errorf("SIGHUP has not reloaded")
		}
		return nil
	})
	c.Stop(t)
}

func TestAMissingOrWrongFileEndsTheStart(t *testing.T) {
	c := harness.NewCollector(t, `logging { level = "loud" }`)
	c.Launch(t)
	<-c.Done()
	if out := c.Output(); c.ExitCode() != 1 || !strings.Contains(out, "config.alloy:1:") {
		t.Errorf("exit code %d:\n%s", c.ExitCode(), out)
	}
	missing := filepath.Join(t.TempDir(), "missing.alloy")
	p := c.Command(t, "run", missing, "--server.http.listen-addr=127.0.0.1:0")
	<-p.Done()
	if out := p.Output(); p.ExitCode() != 1 || !strings.Contains(out, missing) {
		t.Errorf("exit code %d:\n%s", p.ExitCode(), out)
	}
}

func TestTheImagesDefaultPathMayBeMissing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "config.alloy")
	c := harness.NewCollector(t, "", "COLLECTOR_DEFAULT_CONFIG="+missing)
	c.Start(t, missing)
	if !strings.Contains(c.Output(), "running the built-in configuration") {
		t.Errorf("the log does not say so:\n%s", c.Output())
	}
	c.Stop(t)
}

func TestHealthcheckAsksTheRunningCollector(t *testing.T) {
	c := harness.NewCollector(t, good)
	flag := "--server.http.listen-addr=" + strings.TrimPrefix(c.URL, "http://")
	p := c.Command(t, "healthcheck", flag)
	if <-p.Done(); p.ExitCode() == 0 {
		t.Error("healthy although nothing runs")
	}
	c.Start(t)
	p = c.Command(t, "healthcheck", flag)
	if <-p.Done(); p.ExitCode() != 0 {
		t.Errorf("exit code %d: %s", p.ExitCode(), p.Output())
	}
	c.Stop(t)
}

// blackHole accepts connections and never answers.
func blackHole(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestSIGTERMEndsWithin5sWhateverTheDestinationsDo(t *testing.T) {
	hole, otlp, push := blackHole(t), harness.FreePort(t), harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		otelcol.receiver.otlp "x" {
			http { endpoint = "127.0.0.1:%d" }
			output { traces = [otelcol.exporter.otlp.x.input] }
		}
		otelcol.exporter.otlp "x" { client {
			endpoint = %q
			tls { insecure = true }
		} }
		pyroscope.receive_http "x" {
			http {
				listen_address = "127.0.0.1"
				listen_port    = %d
			}
			forward_to = [pyroscope.write.x.receiver]
		}
		pyroscope.write "x" { endpoint { url = "http://%s" } }
		loki.write "x" { endpoint { url = "http://%s" } }
		logging { write_to = [loki.write.x.receiver] }
	`, otlp, hole, push, hole, hole))
	c.Start(t)
	span := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"x","kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}`
	post(t, fmt.Sprintf("http://127.0.0.1:%d/v1/traces", otlp), "application/json", span)
	post(t, fmt.Sprintf("http://127.0.0.1:%d/ingest?name=x&format=folded", push), "", "a;b 1\n")
	harness.Eventually(t, 10*time.Second, func() error {
		for _, a := range c.Accounts(t) {
			if a.Queued == 0 {
				return fmt.Errorf("%+v", a)
			}
		}
		return nil
	})
	c.Stop(t)

	// Nothing was lost: it waits again after the next start.
	c.Start(t)
	for _, a := range c.Accounts(t) {
		if (a.Signal == "traces" || a.Signal == "profiles") && a.Queued != 1 {
			t.Errorf("%+v", a)
		}
	}
	// A second signal ends it at once.
	c.Signal(syscall.SIGTERM)
	c.Signal(syscall.SIGINT)
	select {
	case <-c.Done():
	case <-time.After(20 * time.Second):
		t.Error("it runs on")
	}
}

func post(t *testing.T, url, contentType, body string) {
	t.Helper()
	resp, err := http.Post(url, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
		t.Fatalf("%s: %s: %s", url, resp.Status, text)
	}
}

func TestStorageThatCannotBeWrittenIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := harness.NewCollector(t, fmt.Sprintf("loki.write \"x\" { endpoint { url = \"http://%s\" } }", blackHole(t)))
	c.Storage = filepath.Join(file, "below")
	c.Start(t)
	harness.Eventually(t, 10*time.Second, func() error {
		code, body := status(t, c.URL+"/-/healthy")
		if code != 500 || !strings.Contains(body, "loki.write.x") {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	if !strings.Contains(c.Output(), file) {
		t.Errorf("the log does not name %s:\n%s", file, c.Output())
	}
	c.Stop(t)
}

func TestWhatIsSwitchedOffSaysSoAndCountsWhatItDrops(t *testing.T) {
	for name, endpoint := range map[string]string{
		"no host": `sys.env("COLLECTOR_TEST_UNSET")`, "placeholder": `"<ENDPOINT>"`, "no scheme": `"localhost:3100/push"`,
	} {
		t.Run(name, func(t *testing.T) { switchedOff(t, endpoint) })
	}
}

func switchedOff(t *testing.T, endpoint string) {
	otlp, push := harness.FreePort(t), harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		otelcol.receiver.otlp "x" {
			http { endpoint = "127.0.0.1:%d" }
			output {
				traces = [otelcol.exporter.otlp.x.input]
				logs   = [otelcol.exporter.otlphttp.x.input]
			}
		}
		pyroscope.receive_http "x" {
			http {
				listen_address = "127.0.0.1"
				listen_port    = %d
			}
			forward_to = [pyroscope.write.x.receiver]
		}
		prometheus.scrape "x" {
			targets         = [{"__address__" = "127.0.0.1:%d"}]
			scrape_interval = "1s"
			scrape_timeout  = "1s"
			forward_to      = [prometheus.remote_write.x.receiver]
		}
		logging { write_to = [loki.write.x.receiver] }
		otelcol.exporter.otlp     "x" { client { endpoint = %[4]s } }
		otelcol.exporter.otlphttp "x" { client { endpoint = %[4]s } }
		loki.write                "x" { endpoint { url = %[4]s } }
		pyroscope.write           "x" { endpoint { url = %[4]s } }
		prometheus.remote_write   "x" { endpoint { url = %[4]s } }
	`, otlp, push, otlp, endpoint))
	c.Start(t)
	span := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"x","kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}`
	post(t, fmt.Sprintf("http://127.0.0.1:%d/v1/traces", otlp), "application/json", span)
	post(t, fmt.Sprintf("http://127.0.0.1:%d/v1/logs", otlp), "application/json", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}`)
	post(t, fmt.Sprintf("http://127.0.0.1:%d/ingest?name=x&format=folded", push), "", "a;b 1\n")
	harness.Eventually(t, 10*time.Second, func() error {
		_, page := status(t, c.URL+"/metrics")
		for _, id := range []string{"otelcol.exporter.otlp", "otelcol.exporter.otlphttp", "loki.write", "pyroscope.write", "prometheus.remote_write"} {
			dropped := regexp.MustCompile(`collector_dropped_items_total\{component_id="` + id + `\.x".*reason="no_destination".*\} [1-9]`)
			if !dropped.MatchString(page) {
				return fmt.Errorf("%s.x has counted nothing", id)
			}
			if !regexp.MustCompile(`level=warn.*position=\S*config\.alloy:2[3-7]:\d+ .*` + id + `\.x: .*dropped and counted`).MatchString(c.Output()) {
				return fmt.Errorf("no warning about %s.x:\n%s", id, c.Output())
			}
		}
		return nil
	})
	c.Stop(t)
}
