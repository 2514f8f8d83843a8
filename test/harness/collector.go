package harness

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Collector is the real binary and the files that it works on.
type Collector struct {
	*Process
	URL     string
	Storage string
	// Dir is the working directory; "" is the test's own.
	Dir string

	binary, config string
	env            []string
}

// NewCollector builds the collector and writes its configuration, but does not
// start it. An empty configuration means the built-in one.
func NewCollector(t testing.TB, configuration string, env ...string) *Collector {
	t.Helper()
	dir := t.TempDir()
	c := &Collector{
		URL:     "http://" + Address(FreePort(t)),
		Storage: filepath.Join(dir, "storage"),
		binary:  BuildCollector(t),
		env:     env,
	}
	if configuration != "" {
		c.config = filepath.Join(dir, "config.alloy")
		c.Configure(t, configuration)
	}
	return c
}

// Configure replaces the configuration file.
func (c *Collector) Configure(t testing.TB, configuration string) {
	t.Helper()
	if err := os.WriteFile(c.config, []byte(configuration), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Config is the path of the configuration file; "" with the built-in one.
func (c *Collector) Config() string { return c.config }

// Start starts the collector and waits until it is ready.
func (c *Collector) Start(t testing.TB, flags ...string) {
	t.Helper()
	c.Launch(t, flags...)
	Eventually(t, 20*time.Second, func() error {
		select {
		case <-c.Done():
			t.Fatalf("the collector has ended:\n%s", c.Output())
		default:
		}
		return get(c.URL+"/-/ready", nil)
	})
}

// Launch starts the collector without waiting.
func (c *Collector) Launch(t testing.TB, flags ...string) {
	t.Helper()
	args := []string{"run"}
	if c.config != "" {
		args = append(args, c.config)
	}
	args = append(args, "--server.http.listen-addr="+strings.TrimPrefix(c.URL, "http://"), "--storage.path="+c.Storage)
	c.Process = startIn(t, c.Dir, "collector", c.env, c.binary, append(args, flags...)...)
}

// Command is the collector's binary with other arguments, as a child process.
func (c *Collector) Command(t testing.TB, args ...string) *Process {
	t.Helper()
	return Start(t, "collector "+strings.Join(args, " "), c.env, c.binary, args...)
}

// Stop ends the collector with SIGTERM, as Docker does, and checks that it exits cleanly.
func (c *Collector) Stop(t testing.TB) {
	t.Helper()
	if code, _ := c.Terminate(t, patience); code != 0 {
		t.Errorf("the collector ended with code %d", code)
	}
}

// Reload asks for a reload and returns the status and body of the answer.
func (c *Collector) Reload(t testing.TB) (int, string) {
	t.Helper()
	resp, err := http.Post(c.URL+"/-/reload", "", nil)
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

// Metrics reads the collector's own metrics.
func (c *Collector) Metrics(t testing.TB) map[string]*dto.MetricFamily {
	t.Helper()
	resp, err := http.Get(c.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatalf("the collector's metrics: %v", err)
	}
	return families
}

// Metric sums the values of a family's metrics that carry all the labels given
// as name, value, name, value ….
func (c *Collector) Metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	return sum(c.Metrics(t)[name], labels...)
}

func sum(family *dto.MetricFamily, labels ...string) float64 {
	total := 0.0
	for _, m := range family.GetMetric() {
		have := labelsOf(m)
		match := true
		for i := 0; i+1 < len(labels); i += 2 {
			match = match && have[labels[i]] == labels[i+1]
		}
		if match {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return total
}

func labelsOf(m *dto.Metric) map[string]string {
	out := make(map[string]string)
	for _, pair := range m.GetLabel() {
		out[pair.GetName()] = pair.GetValue()
	}
	return out
}

// Account is the accounting of one signal at one destination, in items.
type Account struct {
	Component, Signal, Destination       string
	Received, Delivered, Queued, Dropped float64
}

// Accounts reads the accounting and fails the test unless
// received = delivered + queued + dropped holds for each signal and
// destination, to the item.
func (c *Collector) Accounts(t testing.TB) []Account {
	t.Helper()
	families := c.Metrics(t)
	byKey := make(map[string]*Account)
	add := func(name string, field func(*Account) *float64) {
		for _, m := range families[name].GetMetric() {
			l := labelsOf(m)
			key := l["component_id"] + " " + l["signal"] + " " + l["destination"]
			if byKey[key] == nil {
				byKey[key] = &Account{Component: l["component_id"], Signal: l["signal"], Destination: l["destination"]}
			}
			*field(byKey[key]) += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	add("collector_received_items_total", func(a *Account) *float64 { return &a.Received })
	add("collector_delivered_items_total", func(a *Account) *float64 { return &a.Delivered })
	add("collector_queued_items", func(a *Account) *float64 { return &a.Queued })
	add("collector_dropped_items_total", func(a *Account) *float64 { return &a.Dropped })
	var out []Account
	for _, a := range byKey {
		if a.Received != a.Delivered+a.Queued+a.Dropped {
			t.Errorf("the accounting does not add up: %+v", *a)
		}
		out = append(out, *a)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Component+out[i].Signal < out[j].Component+out[j].Signal })
	return out
}

// Drained is nil once nothing waits in any queue.
func (c *Collector) Drained(t testing.TB) error {
	t.Helper()
	accounts := c.Accounts(t)
	if len(accounts) == 0 {
		return errors.New("there is no accounting")
	}
	for _, a := range accounts {
		if a.Queued > 0 {
			return fmt.Errorf("%+v", a)
		}
	}
	return nil
}

// Backlog is what each of the destinations has received so far. Under load there is no
// moment at which all queues are empty, but it can be determined that everything of a
// certain time has been handled: see Past.
func (c *Collector) Backlog(t testing.TB, of func(Account) bool) map[string]float64 {
	t.Helper()
	out := make(map[string]float64)
	for _, a := range c.Accounts(t) {
		if of(a) {
			out[a.key()] = a.Received
		}
	}
	return out
}

// Every is all accounts.
func Every(Account) bool { return true }

func (a Account) key() string { return a.Component + " " + a.Signal + " " + a.Destination }

// Past is nil once as many items as backlog says are delivered or dropped.
func (c *Collector) Past(t testing.TB, backlog map[string]float64) error {
	t.Helper()
	accounts := c.Accounts(t)
	if len(accounts) == 0 {
		return errors.New("there is no accounting")
	}
	for _, a := range accounts {
		if dealt := a.Delivered + a.Dropped; dealt < backlog[a.key()] {
			// It says nothing about new data, so that it stays the same when nothing
			// makes progress.
			return fmt.Errorf("%s: of %v items that had been received, %v are handled", a.key(), backlog[a.key()], dealt)
		}
	}
	return nil
}

// RSS is the collector's resident memory in bytes.
func (c *Collector) RSS(t testing.TB) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// HUP asks for a reload by signal.
func (c *Collector) HUP() { c.Signal(syscall.SIGHUP) }
