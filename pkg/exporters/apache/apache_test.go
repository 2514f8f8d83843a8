package apache

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"collector/pkg/cause/causetest"
	"collector/pkg/exporters/exporter/exportertest"
)

const status = `ServerVersion: Apache/2.4.58 (Unix)
ServerMPM: event
Uptime: 60
Load1: 0.5
Total Accesses: 131
Total kBytes: 138
CPUUser: .25
CPUSystem: .15
BusyWorkers: 1
IdleWorkers: 7
ConnsTotal: 3
Scoreboard: _W.
`

// served answers a host with text, and others with 421.
func served(t *testing.T, host, text string, serve func(http.Handler) *httptest.Server) string {
	t.Helper()
	s := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != host && host != "" {
			w.WriteHeader(http.StatusMisdirectedRequest)
			return
		}
		io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return fmt.Sprintf("scrape_uri = %q\n", s.URL+"/server-status?auto")
}

// testdata/alloy.txt lists the metrics that Alloy 1.12 gave without a server.
func TestWithoutAServerThePageMatchesAlloys(t *testing.T) {
	address := causetest.Refusing(t)
	e := exportertest.New(t, Definition(), fmt.Sprintf("scrape_uri = \"http://me:hunter2@%s/server-status?auto\"", address))
	code, page := e.Page()
	if page.IsAlloys(t); code != 200 || !page.Has("apache_up 0") {
		t.Errorf("%d %s", code, page)
	}
	target := e.Targets()[0]
	if target["instance"] != address || target["job"] != "integrations/apache" {
		t.Errorf("the target is %v", target)
	}
	if err := e.Health(); err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(fmt.Sprint(err, target, e.Status()), "hunter2") {
		t.Errorf("its health is %v", err)
	}
}

func TestAServersMetricsAreOnThePage(t *testing.T) {
	e := exportertest.New(t, Definition(), served(t, "", status, httptest.NewServer))
	code, page := e.Page()
	for _, line := range []string{
		"apache_up 1", "apache_accesses_total 131", "apache_sent_kilobytes_total 138", "apache_uptime_seconds_total 60", `apache_workers{state="busy"} 1`, `apache_workers{state="idle"} 7`,
		`apache_scoreboard{state="reply"} 1`, `apache_cpu_time_ms_total{type="user"} 250`, `apache_load{interval="1min"} 0.5`, `apache_connections{state="total"} 3`,
		`apache_info{mpm="event",version="Apache/2.4.58 (Unix)"} 1`, "apache_http_build_info{",
	} {
		if code != 200 || !page.Has(line) {
			t.Errorf("%d, no %s in\n%s", code, line, page)
		}
	}
	if err := e.Health(); err != nil {
		t.Error(err)
	}
}

func TestTheHostIsWhatIsSet(t *testing.T) {
	settings := served(t, "shop.test", status, httptest.NewServer)
	exportertest.Effect{Settings: `host_override = "shop.test"`, With: "apache_accesses_total 131"}.Check(t, Definition(), settings)
	if e := exportertest.New(t, Definition(), settings); true {
		if e.Page(); e.Health() == nil || !strings.Contains(e.Health().Error(), "421") {
			t.Errorf("its health is %v", e.Health())
		}
	}
}

func TestAnUntrustedCertificateIsAcceptedIfConfigured(t *testing.T) {
	exportertest.Effect{Settings: "insecure = true", With: "apache_up 1", Without: "apache_up 0"}.Check(t, Definition(), served(t, "", status, httptest.NewTLSServer))
}

func TestAServerThatHangsFailsItsOwnScrapeOnly(t *testing.T) {
	e := exportertest.New(t, Definition(), fmt.Sprintf("scrape_uri = \"http://%s/\"", exportertest.Hanging(t)))
	for _, want := range []string{"no response", "previous scrape"} {
		if code, page := e.Scrape(e.Targets()[0], "0.05"); code != 500 || !strings.Contains(page.String(), want) {
			t.Errorf("%d %s, want %s", code, page, want)
		}
	}
	if e.Health() == nil {
		t.Error("it is healthy")
	}
}

// The library panics at a version without a number.
func TestAnAnswerThatMakesTheLibraryPanicFailsTheScrapeOnly(t *testing.T) {
	e := exportertest.New(t, Definition(), served(t, "", "ServerVersion: Apache\n", httptest.NewServer))
	if code, page := e.Page(); code != 500 || !page.Has("BUG: panic") || e.Health() == nil {
		t.Errorf("%d %s", code, page)
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	exportertest.RefusesArguments(t, Definition(), map[string]string{
		`scrape_uri = ""`:                      "not a valid URL",
		`scrape_uri = "http://a:hunter2%zz@b"`: "not a valid URL",
		`scrape_uri = "apache"`:                "not a valid URL",
	})
}
