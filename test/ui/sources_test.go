//go:build integration

package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"collector/pkg/logs/source/journal/journaltest"
	"collector/test/harness"
)

// sources is a collector that reads files, a journal that journald writes, syslog and
// the push API, with stages for all of them.
type sources struct {
	*harness.Collector
	logs    string
	journal *journaltest.Daemon
	tcp     string
	push    string
}

// stageLines are where the stages are in the configuration below.
const stageLines = `loki.process "shop" {
	forward_to = [explore.sink.default.logs]

	stage.multiline {
		firstline = "^\\S"
	}

	stage.json {
		expressions = {level = "", user_token = "token"}
	}

	stage.labels {
		values = {level = ""}
	}

	stage.match {
		selector = "{level=\"debug\"}"

		stage.drop {
			expression          = "noise"
			drop_counter_reason = "useless"
		}
	}
}
`

func startSources(t *testing.T) *sources {
	t.Helper()
	tcp, udp, api := harness.FreePort(t), harness.FreePort(t), harness.FreePort(t)
	s := &sources{logs: t.TempDir(), journal: journaltest.StartDaemon(t, ""), tcp: harness.Address(tcp), push: "http://" + harness.Address(api)}
	s.journal.Flush()
	s.Collector = harness.NewCollector(t, stageLines+fmt.Sprintf(`
explore.sink "default" { }

loki.source.file "app" {
	targets    = [{"__path__" = "%[1]s/*.log", "app" = "shop"}]
	forward_to = [loki.process.shop.receiver]
	file_match {
		enabled = true
	}
}

loki.source.file "mistaken" {
	targets    = [{"__path__" = "%[1]s/folder"}]
	forward_to = [loki.process.shop.receiver]
}

loki.source.journal "host" {
	path       = %[2]q
	forward_to = [loki.process.shop.receiver]
}

loki.source.syslog "net" {
	forward_to = [loki.process.shop.receiver]
	listener {
		address = %[3]q
		labels  = {from = "syslog"}
	}
	listener {
		address  = %[4]q
		protocol = "udp"
	}
}

loki.source.api "push" {
	http {
		listen_address = "127.0.0.1"
		listen_port    = %[5]d
	}
	forward_to = [loki.process.shop.receiver]
}
`, s.logs, s.journal.Disk, s.tcp, harness.Address(udp), api))
	s.Start(t, "--explore.memory=16MiB")
	return s
}

// write appends lines to a file.
func (s *sources) write(t *testing.T, name string, lines ...string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(s.logs, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Join(lines, "\n") + "\n"); err != nil {
		t.Fatal(err)
	}
}

// kept writes a line until it is among those that the page Stages lists.
func (s *sources) kept(t *testing.T, text string, write func()) {
	t.Helper()
	harness.Eventually(t, waiting, func() error {
		write()
		resp, err := http.Get(s.URL + "/api/v1/stages/loki.process.shop")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var m struct{ Recent []struct{ Line string } }
		if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
			return err
		}
		for _, r := range m.Recent {
			if strings.Contains(r.Line, text) {
				return nil
			}
		}
		return fmt.Errorf("no line with %q among %v", text, m.Recent)
	})
}

// row is a condition on the row of the tails whose source has a text.
func row(source, contains string) string {
	return fmt.Sprintf("[...document.querySelectorAll('tbody tr')].some((row) => row.querySelector('th').innerText.includes(%q) && row.textContent.includes(%q))", source, contains)
}

// The Log tails page shows files, a journal, syslog and the push API, each with its own
// details.
func TestLogTailsOfEachKind(t *testing.T) {
	s := startSources(t)
	defer s.Stop(t)
	if err := os.Mkdir(filepath.Join(s.logs, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write(t, "a.log", `{"level": "info"}`, `{"level": "warn"}`)
	s.journal.Send("MESSAGE=from the journal", "PRIORITY=6", "SYSLOG_IDENTIFIER=tester")
	host, port, err := net.SplitHostPort(s.tcp)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("logger", "-n", host, "-P", port, "--tcp", "--rfc5424", "hello").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	client, err := net.Dial("tcp", s.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("<13>not valid\n")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(s.push+"/loki/api/v1/raw", "text/plain", strings.NewReader("pushed\n"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	b := newBrowser(t, s.URL)
	b.open("/targets/logs")
	for _, shown := range [][2]string{
		{"a.log", "read to 36 B of 36 B"}, {"a.log", "reading"}, {"folder", "is a folder, not a file."}, {"folder", "Write a pattern for the files in it"},
		{s.journal.Disk, "tester: 1"}, {s.journal.Disk, "s="}, {"tcp " + s.tcp, "1 connection, 2 received"}, {"tcp " + s.tcp, "1 not valid"}, {"tcp " + s.tcp, "last problem"},
		{"udp ", "0 connections, 0 received"}, {"http ", "Loki push API"}, {"http ", "1 received"},
	} {
		b.until(row(shown[0], shown[1]))
	}
	// A rotated file that its program still has open.
	program, err := os.OpenFile(filepath.Join(s.logs, "a.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if err := os.Rename(filepath.Join(s.logs, "a.log"), filepath.Join(s.logs, "a.log.1")); err != nil {
		t.Fatal(err)
	}
	s.write(t, "a.log", `{"level": "info"}`)
	b.until(row("a.log", "1 rotated file still read"))
	b.size(360, 740)
	b.open("/targets/logs")
	if wide := eval[float64](b, "document.documentElement.scrollWidth"); wide > 360 {
		t.Errorf("the page is %v pixels wide on a screen of 360", wide)
	}
	b.size(1440, 900)
	b.open("/component/loki.source.syslog.net")
	b.until("document.querySelector('#debug').textContent.includes('lastProblem')")
	b.follow(`main a[href="/targets/logs?component=loki.source.syslog.net"]`, "/targets/logs")
	b.until("document.querySelectorAll('tbody tr').length === 2")
}

// A component, the graph and the live view lead to what its stages do to a line that came
// in, or that the user types.
func TestStagesStepByStep(t *testing.T) {
	s := startSources(t)
	defer s.Stop(t)
	written := 0.0
	s.kept(t, "noise", func() {
		s.write(t, "a.log", fmt.Sprintf(`{"level": "debug", "msg": "noise", "token": "hunter2planted", "n": %v}`, written))
		written++
	})
	dropped := func() float64 { return s.Metric(t, "loki_process_dropped_lines_total", "reason", "useless") }
	harness.Eventually(t, waiting, func() error { // stage.multiline holds the last one for a while
		if n := dropped(); n != written {
			return fmt.Errorf("%v of %v lines are dropped", n, written)
		}
		return nil
	})
	b := newBrowser(t, s.URL)
	b.open("/component/loki.process.shop")
	b.follow(`main a[href="/stages/loki.process.shop"]`, "/stages/loki.process.shop")
	b.until("[...document.querySelectorAll('#recent tbody tr')].some((row) => row.innerText.includes('noise'))")
	b.follow(eval[string](b, "'#recent a[href=\"' + [...document.querySelectorAll('#recent tbody tr')].find((row) => row.innerText.includes('noise')).querySelector('a').getAttribute('href') + '\"]'"), "/stages/loki.process.shop")
	b.until("location.search !== '' && document.querySelector('#entry-1') && document.querySelector('#entry-1').innerText.includes('Dropped by stage 5, stage.drop (reason: useless).')")
	for _, want := range []string{"changes 2 extracted values", "changes 1 label", "the selector matches", "dropped here, reason: useless", "The line matches “noise”."} {
		b.until(fmt.Sprintf("document.querySelector('#entry-1').innerText.includes(%q)", want))
	}
	if strings.Contains(b.text(), "hunter2planted") {
		t.Error("the page shows a secret")
	}
	// Each stage leads to its line.
	line := 1 + strings.Count(stageLines[:strings.Index(stageLines, "stage.drop")], "\n")
	if text := eval[string](b, "document.querySelector('#step-1-6 a').innerText"); !strings.HasSuffix(text, fmt.Sprintf("line %d", line)) {
		t.Errorf("stage.drop is at %q, not line %d", text, line)
	}
	b.follow("#step-1-6 a", "/configuration")
	b.until(fmt.Sprintf("document.querySelector('#L%d').innerText.includes('stage.drop {')", line))

	// Lines that the user types, of which two become one entry.
	b.open("/graph")
	b.follow(`#flows a[href="/stages/loki.process.shop"]`, "/stages/loki.process.shop")
	b.do(chromedp.SetValue(chromedp.CSS("#lines"), `{"level": "error"}`+"\n  at Shop.java:7\nno JSON\n{}"), chromedp.SetValue(chromedp.CSS("#labels"), "app=shop"),
		chromedp.Click(chromedp.CSS("form.try button")))
	b.until("document.querySelector('#after') && document.querySelector('#after').innerText.includes('at Shop.java:7')")
	for _, want := range []string{"Lines 1+2", "The line is not a JSON object: it begins with “n”.", "Held by stage 1, stage.multiline, goes on as 1+2.", "No further line comes within 3s (max_wait_time)."} {
		if !strings.Contains(strings.ToLower(b.text()), strings.ToLower(want)) {
			t.Errorf("no %q:\n%s", want, b.text())
		}
	}
	if n := dropped(); n != written {
		t.Errorf("the component has dropped %v lines of %v: looking at it changes it", n, written)
	}
	b.size(360, 740)
	b.open("/stages/loki.process.shop")
	b.until("document.querySelectorAll('#entry-1 li').length > 3")
	if wide := eval[float64](b, "document.documentElement.scrollWidth"); wide > 360 {
		t.Errorf("the page is %v pixels wide on a screen of 360: %s", wide, eval[string](b, "[...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > 360 && !e.closest('.scroll')).map((e) => e.tagName + '.' + e.className).join(' ')"))
	}
	b.size(1440, 900)

	// A line in the live view.
	b.open("/live?from=loki.source.file.app&to=loki.process.shop")
	b.until("document.getElementById('live-state').textContent === 'watching'")
	s.write(t, "a.log", `{"level": "live"}`)
	b.until("document.querySelector('#live-rows form.inline button')")
	b.follow("#live-rows form.inline button", "/stages/loki.process.shop")
	b.until(`document.querySelector('#entry-1') && document.querySelector('#entry-1').innerText.includes('"level": "live"')`)
}

// The API has the same.
func TestTheAPIOfStages(t *testing.T) {
	s := startSources(t)
	defer s.Stop(t)
	resp, err := http.Post(s.URL+"/api/v1/stages/loki.process.shop", "application/json", strings.NewReader(`{"lines": ["{\"level\": \"debug\", \"msg\": \"noise\"}"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var m struct {
		Stages  []struct{ Name string }
		Entries []struct {
			Verdict string
			Steps   []struct {
				Stage, Outcome, Reason string
				Line                   int
			}
		}
		Output []any
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text.Bytes(), &m); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v: %s", err, text.String())
	}
	if len(m.Stages) != 5 || len(m.Entries) != 1 || m.Entries[0].Verdict != "dropped by stage 5, stage.drop (reason: useless)" || m.Entries[0].Steps[5].Reason != "useless" || m.Entries[0].Steps[5].Line == 0 || len(m.Output) != 0 {
		t.Errorf("%s", text.String())
	}
}
