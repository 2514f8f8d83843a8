package program

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// commandOf is what a command of the collector prints, and its exit code.
func commandOf(t *testing.T, c *harness.Collector, args ...string) (string, int) {
	t.Helper()
	p := c.Command(t, append(args, "--addr", c.URL)...)
	<-p.Done()
	return p.Output(), p.ExitCode()
}

// saysSoon waits until a command prints all texts.
func saysSoon(t *testing.T, c *harness.Collector, args string, texts ...string) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() error {
		out, code := commandOf(t, c, strings.Fields(args)...)
		if code != 0 {
			return fmt.Errorf("%s: exit code %d: %s", args, code, out)
		}
		for _, text := range texts {
			if !strings.Contains(out, text) {
				return fmt.Errorf("%s: no %q in\n%s", args, text, out)
			}
		}
		return nil
	})
}

// Each question about a running collector has its answer on the command line.
func TestTheCommandLineAnswersEachQuestion(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "things_total 1") }))
	t.Cleanup(page.Close)
	up, down := strings.TrimPrefix(page.URL, "http://"), fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
	text := fmt.Sprintf(`
		discovery.relabel "x" {
			targets = [{ __address__ = %q, name = "up" }, { __address__ = %q, name = "down" }, { __address__ = "h:1", name = "dropped" }]
			rule {
				source_labels = ["name"]
				regex         = "up|down"
				action        = "keep"
			}
			rule {
				source_labels = ["name"]
				target_label  = "service"
			}
		}
		prometheus.scrape "x" {
			targets         = discovery.relabel.x.output
			scrape_interval = "1s"
			scrape_timeout  = "1s"
			forward_to      = [prometheus.remote_write.good.receiver, prometheus.remote_write.bad.receiver]
		}
		prometheus.remote_write "good" { endpoint { url = "%s/api/v1/write" } }
		prometheus.remote_write "bad" { endpoint { url = "http://%s/api/v1/write" } }
	`, up, down, sink(t), down)
	c := harness.NewCollector(t, text)
	c.Start(t)
	bad := fmt.Sprintf("http://%s/api/v1/write", down)

	// Is it flowing, how far behind, where does it stop?
	saysSoon(t, c, "why http://"+up+"/metrics", "Is it flowing?", "● Metrics: yes, 1 of 1 target up.", "● prometheus.remote_write.good (metrics to", "delivers:",
		"How far behind is it?", "▲ prometheus.remote_write.bad: ", " waiting (", "Where does it stop?", "✕ At prometheus.remote_write.bad, which cannot deliver to "+bad)
	// Why is it not scraped?
	saysSoon(t, c, "why "+down, "Is it collected, and if not, why?", "✕ prometheus.scrape.x scrapes", "which is down:")
	// Which labels, and from which rule?
	saysSoon(t, c, "why http://"+up+"/metrics", "Which labels does it have, and from which rule?", `service`, `"up"`, "discovery.relabel.x, rule 2", "prometheus.scrape.x")
	// Why is it dropped?
	saysSoon(t, c, "why prometheus.remote_write.bad", "Is data dropped, and why?", "No: nothing was dropped on the way.")
	// What changed?
	c.Configure(t, strings.Replace(text, `scrape_interval = "1s"`, `scrape_interval = "2s"`, 1))
	saysSoon(t, c, "why prometheus.scrape.x", "What changed?")
	c.HUP()
	saysSoon(t, c, "why prometheus.scrape.x", "by SIGHUP: 1 file, +1 −1 lines; rebuilt: prometheus.scrape.x.")

	saysSoon(t, c, "targets", "down", "http://"+down+"/metrics", "up", "http://"+up+"/metrics")
	if out, _ := commandOf(t, c, "targets", "--state", "down"); strings.Contains(out, up) || !strings.Contains(out, down) {
		t.Errorf("%s", out)
	}
	if out, _ := commandOf(t, c, "targets", "--state", "sleepy"); !strings.Contains(out, "state=sleepy matches nothing") {
		t.Errorf("%s", out)
	}
	saysSoon(t, c, "queue", "prometheus.remote_write.bad", bad, "down ", "prometheus.remote_write.good")
	out, code := commandOf(t, c, "why", "--json", "prometheus.remote_write.bad")
	var answers struct {
		Subjects []struct{ What, Kind string }
	}
	if err := json.Unmarshal([]byte(out), &answers); code != 0 || err != nil || len(answers.Subjects) != 1 || answers.Subjects[0].What != "destination" || answers.Subjects[0].Kind != "bad" {
		t.Errorf("%d %v %s", code, err, out)
	}
	if out, code := commandOf(t, c, "why", "prometheus.scrape.y"); code != 1 || !strings.Contains(out, `did you mean "prometheus.scrape.x"?`) {
		t.Errorf("%d %s", code, out)
	}
	c.Stop(t)
}

// For pushed data, the answers start at the receiver: what has arrived, what was refused
// from whom and why, and where it stops.
func TestTheCommandLineAnswersForWhatClientsPush(t *testing.T) {
	otlp, profiles := harness.FreePort(t), harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		otelcol.receiver.otlp "x" {
			http { endpoint = "127.0.0.1:%d" }
			output { traces = [otelcol.processor.batch.x.input] }
		}
		otelcol.processor.batch "x" { output { traces = [otelcol.exporter.otlphttp.x.input] } }
		otelcol.exporter.otlphttp "x" { client { endpoint = %q } }
		pyroscope.receive_http "x" {
			http {
				listen_address = "127.0.0.1"
				listen_port    = %d
			}
			forward_to = [pyroscope.write.x.receiver]
		}
		pyroscope.write "x" { endpoint { url = %q } }
	`, otlp, harness.Refusing(t), profiles, sink(t)))
	c.Start(t)
	post := func(port int, path, kind, body string) {
		t.Helper()
		resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d%s", port, path), kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	saysSoon(t, c, "why traces", "▲ Traces: no client has sent any to otelcol.receiver.otlp.x", "▲ Before otelcol.receiver.otlp.x: no traces have come in the last 5 min.", fmt.Sprintf("→ Check that the clients send to HTTP on 127.0.0.1:%d.", otlp))
	post(otlp, "/v1/traces", "application/json", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"x"}]}]}]}`)
	post(otlp, "/v1/traces", "text/xml", "<spans/>")
	post(profiles, "/ingest/ingest", "text/plain", "x")
	// By the receiver, its port, its signal or its destination.
	for _, name := range []string{"otelcol.receiver.otlp.x", fmt.Sprint(otlp), "traces"} {
		saysSoon(t, c, "why "+name,
			"● Traces: otelcol.receiver.otlp.x has received 1 span, the last ", "✕ otelcol.receiver.otlp.x refuses requests: 1 since the start. The last one ", "(content_type): the content type is", // it flows
			"How far behind is it?", "otelcol.exporter.otlphttp.x: 1 span waiting (", // how far behind
			"✕ At otelcol.receiver.otlp.x, which refuses requests: the last one ", "✕ At otelcol.exporter.otlphttp.x, which cannot deliver to http://127.0.0.1:", // where it stops
			"▲ otelcol.receiver.otlp.x: 1 request refused since the start (reason: content_type); the clients got an error.", "→ Fix the client's settings") // why it is dropped
	}
	saysSoon(t, c, "why profiles", "Before pyroscope.receive_http.x: no profiles have come", "(unknown_path): nothing is served at /ingest/ingest: ", "→ Fix the path in the client's settings.")
	post(profiles, "/ingest?name=app", "text/plain", "a;b 1")
	saysSoon(t, c, fmt.Sprint("why ", profiles), "● Profiles: pyroscope.receive_http.x has received 1 profile,", "● pyroscope.write.x (profiles to ", "delivers: 1 profile,")
	c.Stop(t)
}

// With a password in the block http, the commands ask for it, and accept it.
func TestTheCommandLineAcceptsAPassword(t *testing.T) {
	c := harness.NewCollector(t, `
		http {
			auth {
				basic {
					username = "reader"
					password = "hunter2"
				}
			}
		}
	`, "COLLECTOR_PASSWORD=hunter2")
	c.Launch(t)
	saysSoon(t, c, "targets --user reader", "STATE")
	if out, code := commandOf(t, c, "targets"); code != 1 || !strings.Contains(out, "requires a password: set --user") {
		t.Errorf("%d %s", code, out)
	}
	c.Stop(t)
}

// The files on disk and the running configuration are distinguished, and the last loads
// are listed with who asked for them.
func TestTheHistoryOfLoads(t *testing.T) {
	c := harness.NewCollector(t, good)
	c.Start(t)
	var page struct {
		OnDisk struct {
			Differs bool
			Files   []struct{ Change string }
		}
		History []struct {
			By, Error string
			Rebuilt   []string
			Files     []struct{ Added, Removed int }
		}
	}
	read := func() {
		t.Helper()
		code, body := status(t, c.URL+"/api/v1/configuration")
		if err := json.Unmarshal([]byte(body), &page); code != 200 || err != nil {
			t.Fatalf("%d %v %s", code, err, body)
		}
	}
	read()
	if page.OnDisk.Differs || len(page.History) != 1 || page.History[0].By != "start" {
		t.Errorf("after the start: %+v", page)
	}
	c.Configure(t, strings.Replace(good, "debug", "info", 1))
	harness.Eventually(t, time.Minute, func() error {
		if read(); !page.OnDisk.Differs || len(page.OnDisk.Files) != 1 || page.OnDisk.Files[0].Change != "changed" {
			return fmt.Errorf("a file that differs: %+v", page)
		}
		return nil
	})
	c.Reload(t)
	read()
	if page.OnDisk.Differs || len(page.History) != 2 || page.History[0].By != "HTTP POST /-/reload from 127.0.0.1" || len(page.History[0].Rebuilt) != 1 || page.History[0].Files[0].Added != 1 {
		t.Errorf("after a reload: %+v", page)
	}
	c.HUP()
	harness.Eventually(t, time.Minute, func() error {
		if read(); len(page.History) != 3 || page.History[0].By != "SIGHUP" {
			return fmt.Errorf("after a signal: %+v", page)
		}
		return nil
	})
	c.Stop(t)
}
