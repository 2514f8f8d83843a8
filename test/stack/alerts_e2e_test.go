//go:build integration

package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"collector/pkg/profiles/profilestest"
	"collector/test/harness"
)

// quicker makes the rules fire within seconds: the times and shares are smaller, the
// expressions stay.
var quicker = strings.NewReplacer(
	"interval: 15s", "interval: 1s",
	"[1m]", "[6s]", "[5m]", "[15s]", "> 1m", "> 3s",
	"for: 1m", "for: 3s", "for: 2m", "for: 4s", "for: 15m", "for: 10s",
	"> 0.25", "> 0.00003", "> 0.75", "> 0.00006", // of 1 GiB: 32 and 64 KiB
)

// alerting is vmalert and Alertmanager.
type alerting struct{ alertmanager string }

// startAlerting starts both, with the deployed rules, made quicker, and the
// deployed configuration, which sends mails.
func startAlerting(t *testing.T, metrics *harness.VictoriaMetrics, mail *mailServer) *alerting {
	t.Helper()
	rules, dir := t.TempDir(), t.TempDir()
	files, err := filepath.Glob(deployed("alerts", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(rules, filepath.Base(file)), []byte(quicker.Replace(string(data))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	address, vmalert := harness.Address(harness.FreePort(t)), harness.Address(harness.FreePort(t))
	harness.Start(t, "alertmanager", []string{
		"ALERTMANAGER=" + harness.Tool(t, "alertmanager"), "RUN_DIR=" + filepath.Join(dir, "run"), "BASE_CONFIG=" + deployed("alertmanager", "alertmanager.yml"),
		"SMTP_HOST=" + mail.Address, "SMTP_FROM=alerts@example.com", "SMTP_TO=team@example.com", "SMTP_REQUIRE_TLS=false",
	}, "sh", deployed("alertmanager", "start.sh"), "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=")
	harness.Start(t, "vmalert", nil, harness.Tool(t, "vmalert"), "-rule="+rules+"/*.yaml", "-httpListenAddr="+vmalert, "-loggerLevel=WARN",
		"-datasource.url="+metrics.URL, "-remoteWrite.url="+metrics.URL, "-remoteRead.url="+metrics.URL, "-notifier.url=http://"+address,
		// A sample takes that long from its scrape until it is found.
		"-rule.evalDelay=3s")
	a := &alerting{alertmanager: "http://" + address}
	harness.Eventually(t, 30*time.Second, func() error {
		return errors.Join(fetch(a.alertmanager+"/-/ready"), fetch("http://"+vmalert+"/health"))
	})
	return a
}

// alert is an alert as Alertmanager's API gives it.
type alert struct {
	Labels, Annotations map[string]string
	Fingerprint         string
	Status              struct {
		State       string
		InhibitedBy []string
	}
}

// String names the alert by what distinguishes alerts in the tests.
func (a alert) String() string {
	return strings.TrimSpace(strings.Join([]string{
		a.Labels["alertname"], a.Labels["severity"], a.Labels["project"], a.Labels["service"], a.Labels["signal"],
	}, " "))
}

// Alerts returns the alerts that fire, by name.
func (a *alerting) Alerts(t *testing.T) map[string]alert {
	t.Helper()
	resp, err := http.Get(a.alertmanager + "/api/v2/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all []alert
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]alert)
	for _, one := range all {
		out[one.String()] = one
	}
	return out
}

// await waits until all wanted alerts fire, and no others except tolerated ones, and
// returns them.
func (a *alerting) await(t *testing.T, limit time.Duration, want []string, tolerated ...string) map[string]alert {
	t.Helper()
	var alerts map[string]alert
	harness.Eventually(t, limit, func() error {
		alerts = a.Alerts(t)
		var missing, more []string
		for _, name := range want {
			if _, ok := alerts[name]; !ok {
				missing = append(missing, name)
			}
		}
		for name := range alerts {
			if !slices.Contains(want, name) && !slices.Contains(tolerated, name) {
				more = append(more, name)
			}
		}
		sort.Strings(more)
		if len(missing)+len(more) > 0 {
			return fmt.Errorf("missing: %q; too many: %q", missing, more)
		}
		return nil
	})
	return alerts
}

// selfScrape makes the collector scrape itself and another collector, as
// though they were services of the projects shop and spare.
func selfScrape(own, spare string) string {
	return fmt.Sprintf(`
prometheus.scrape "self" {
	targets = [
		{__address__ = %q, project = "shop", service = "collector", host = "h"},
		{__address__ = %q, project = "spare", service = "collector", host = "h"},
	]
	scrape_interval = "500ms"
	scrape_timeout  = "500ms"
	forward_to      = [prometheus.remote_write.default.receiver]
}
`, strings.TrimPrefix(own, "http://"), strings.TrimPrefix(spare, "http://"))
}

// TestAlerts causes every alert at once, sees each one at Alertmanager, removes the
// causes, and sees the alerts resolved.
func TestAlerts(t *testing.T) {
	t.Parallel()
	metrics, mail := harness.StartVictoriaMetrics(t), startMailServer(t)
	alerts := startAlerting(t, metrics, mail)
	w := startWatched(t, metrics)
	spare := harness.NewCollector(t, "logging {}")
	w.Collector.Configure(t, w.config(t)+selfScrape(w.Collector.URL, spare.URL))
	w.Collector.Start(t)
	spare.Start(t)

	// No backend has been seen so far.
	alerts.await(t, 30*time.Second, []string{"BackendDown critical  backend"})
	shop, other := w.runBackend(t, "shop"), w.runBackend(t, "other")
	alerts.await(t, 30*time.Second, nil)

	well, end := context.WithCancel(t.Context())
	defer end()
	go load(well, 50*time.Millisecond, w.url(t, other), "/")
	go load(well, 20*time.Millisecond, w.url(t, shop), "/")

	ill, heal := context.WithCancel(t.Context())
	defer heal()
	w.breakAll(t, ill, shop, other, spare)
	got := alerts.await(t, 60*time.Second, []string{
		"BackendDown critical other backend",
		"HighErrorRate warning shop backend",
		"HighLatencyP99 warning shop backend",
		"CollectorDown critical spare collector",
		"CollectorDestinationFailing warning shop collector traces",
		"CollectorDestinationFailing critical shop collector traces",
		"CollectorQueueFilling warning shop collector traces",
		"CollectorQueueFilling critical shop collector traces",
		"CollectorDataDropped warning shop collector profiles",
		"CollectorLogLag warning shop collector",
	},
		"CollectorDestinationFailing warning shop collector logs", "CollectorDestinationFailing critical shop collector logs",
		"CollectorQueueFilling warning shop collector logs", "CollectorQueueFilling critical shop collector logs",
		"CollectorDestinationFailing warning shop collector profiles", "CollectorDestinationFailing critical shop collector profiles",
		"CollectorDataRefused warning shop collector traces", "CollectorDataRefused warning shop collector logs")
	checkAnnotations(t, got)
	alerts.checkInhibition(t)
	harness.Eventually(t, 40*time.Second, func() error { return mail.About("To: team@example.com", "BackendDown", "other") })

	heal()
	w.mendAll(t, other, spare)
	alerts.await(t, 90*time.Second, nil)
}

// breakAll causes every alert.
func (w *watched) breakAll(t *testing.T, ill context.Context, shop, other string, spare *harness.Collector) {
	t.Helper()
	if err := w.Engine.Client.ContainerKill(context.Background(), other, "KILL"); err != nil {
		t.Fatal(err)
	}
	spare.Kill()
	go load(ill, 100*time.Millisecond, w.url(t, shop), "/api/server-error", "/api/server-error", "/api/slow")
	w.Proxies["traces"].Set(t, harness.Refuse)
	w.Proxies["logs"].Set(t, harness.Refuse)
	w.Pyroscope.SetFault(func(*http.Request) *profilestest.Fault { return &profilestest.Fault{Status: 400, Body: "no"} })
}

func (w *watched) mendAll(t *testing.T, other string, spare *harness.Collector) {
	t.Helper()
	w.start(t, other)
	spare.Start(t)
	w.Proxies["traces"].Set(t, harness.None)
	w.Proxies["logs"].Set(t, harness.None)
	w.Pyroscope.SetFault(nil)
}

// gap is what a template leaves where a label is missing.
var gap = regexp.MustCompile(`<no value>|  | ,| \.|\(destination \)`)

// checkAnnotations checks that each alert says what is wrong with what, and
// how to fix it.
func checkAnnotations(t *testing.T, alerts map[string]alert) {
	t.Helper()
	for name, a := range alerts {
		for _, key := range []string{"summary", "description"} {
			text := a.Annotations[key]
			if text == "" || gap.MatchString(text) {
				t.Errorf("%s of %s has a gap: %q", key, name, text)
			}
		}
		if !strings.Contains(a.Annotations["summary"], a.Labels["project"]) {
			t.Errorf("the summary of %s does not name the project: %q", name, a.Annotations["summary"])
		}
		if !strings.Contains(a.Annotations["description"], a.Labels["service"]) && a.Labels["signal"] == "" {
			t.Errorf("the description of %s does not name the service: %q", name, a.Annotations["description"])
		}
	}
}

// checkInhibition checks that what is critical mutes the warning of the same
// name and thing, and no other.
func (a *alerting) checkInhibition(t *testing.T) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, func() error {
		alerts := a.Alerts(t)
		for _, name := range []string{"CollectorDestinationFailing", "CollectorQueueFilling"} {
			critical, warning := alerts[name+" critical shop collector traces"], alerts[name+" warning shop collector traces"]
			if critical.Status.State != "active" {
				return fmt.Errorf("the critical %s is %q", name, critical.Status.State)
			}
			if warning.Status.State != "suppressed" || !slices.Contains(warning.Status.InhibitedBy, critical.Fingerprint) {
				return fmt.Errorf("the warning %s is %q, muted by %q; want it muted by %s", name, warning.Status.State, warning.Status.InhibitedBy, critical.Fingerprint)
			}
		}
		for _, name := range []string{"HighErrorRate warning shop backend", "HighLatencyP99 warning shop backend", "CollectorDataDropped warning shop collector profiles", "CollectorLogLag warning shop collector"} {
			if state := alerts[name].Status.State; state != "active" {
				return fmt.Errorf("%s is %q", name, state)
			}
		}
		return nil
	})
}
