package snmp

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gosnmp/gosnmp"
	"github.com/klauspost/compress/zstd"

	"collector/pkg/exporters/exporter"
	"collector/pkg/exporters/exporter/exportertest"
)

var update = flag.Bool("update", false, "write the built-in modules from the library's module")

func TestTheBuiltInModulesAreTheLibrarys(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/snmp_exporter").Output()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "snmp.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(1<<21))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("snmp.yml.zst", e.EncodeAll(want, nil), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := builtInText()
	if err != nil || got != string(want) {
		t.Fatalf("%v, %d bytes, want %d: run this test with -update", err, len(got), len(want))
	}
	c := Config{}
	c.SetToDefault()
	m, err := c.modules()
	if err != nil {
		t.Fatal(err)
	}
	for name, metrics := range map[string]int{"apcups": 10, "if_mib": 30, "ucd_la_table": 3} {
		if found, err := m.find(name); err != nil || found == nil || len(found.Metrics) < metrics || len(found.Walk) == 0 {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
	if n := strings.Count(got, "\n    walk:\n") + strings.Count(got, "\n    get:\n"); len(m.builtIn) < 45 || len(m.builtIn) > n || len(m.auths) != 2 {
		t.Errorf("%d modules and %d auths", len(m.builtIn), len(m.auths))
	}
}

func module(name, oid string) string {
	return fmt.Sprintf("  %s:\n    get: [%s]\n    metrics: [{name: %sValue, oid: %s, type: gauge, help: A value.}]\n", name, oid, name, strings.TrimSuffix(oid, ".0"))
}

func config() string {
	return "config = `auths:\n  public_v2: {community: hunter2, version: 2}\n  other: {community: hunter3, version: 2}\nmodules:\n" +
		module("one", "1.3.6.1.2.1.1.3.0") + module("two", "1.3.6.1.2.1.1.7.0") +
		"  walking: {walk: [1.3.6.1.2.1.2], metrics: [{name: ifNumber, oid: 1.3.6.1.2.1.2.1, type: gauge, help: A value.}]}\n`\n"
}

func target(address, more string) string {
	return fmt.Sprintf("target \"sw1\" {\n address = %q\n labels = {\"site\" = \"a\", \"job\" = \"mine\"}\n%s\n}\n", address, more)
}

func values() []gosnmp.SnmpPDU {
	return []gosnmp.SnmpPDU{
		{Name: ".1.3.6.1.2.1.1.3.0", Type: gosnmp.Gauge32, Value: uint32(42)},
		{Name: ".1.3.6.1.2.1.1.7.0", Type: gosnmp.Gauge32, Value: uint32(7)},
		{Name: ".1.3.6.1.2.1.2.1.0", Type: gosnmp.Gauge32, Value: uint32(3)},
	}
}

func TestADeviceIsAskedAsItsTargetSays(t *testing.T) {
	a := newAgent(t, values()...)
	for settings, want := range map[string]string{
		target(a.address, `module = "one"`):                             "oneValue 42",
		target(a.address, `module = "two"`):                             "twoValue 7",
		target(a.address, "module = \"walking\""):                       "ifNumber 3",
		target(a.address, "module = \"one\"\nauth = \"other\""):         `snmp_scrape_pdus_returned{module="one"} 1`,
		"concurrency = 0\n" + target(a.address, "module = \"two,one\""): "oneValue 42",
	} {
		e := exportertest.New(t, Definition(), config()+settings)
		code, page := e.Page()
		community := "hunter2"
		if strings.Contains(settings, "auth") {
			community = "hunter3"
		}
		packets := a.packets()
		if code != 200 || !page.Has(want) || len(packets) == 0 || packets[0].Community != community {
			t.Errorf("%s: %d, no %s\n%s", settings, code, want, page)
		}
		if r := e.Status().([]exporter.ProbeResult); len(r) != 1 || !r[0].Success || r[0].Target != a.address || e.Health() != nil {
			t.Errorf("%+v, %v", r, e.Health())
		}
	}
}

func TestTargetsMatchAlloys(t *testing.T) {
	want := map[string]string{
		"__address__": "alloy.internal:12345", "__meta_component_id": "prometheus.exporter.snmp.x", "__meta_component_name": "prometheus.exporter.snmp",
		"__metrics_path__": "/api/v0/component/prometheus.exporter.snmp.x/metrics", "__param_module": "if_mib", "__param_name": "sw1",
		"__param_target": "127.0.0.1", "__scheme__": "http", "instance": "prometheus.exporter.snmp.x", "job": "integrations/snmp/sw1", "site": "a",
	}
	for _, settings := range []string{
		target("127.0.0.1", `module = "if_mib"`),
		"targets = [{\"name\" = \"sw1\", \"__address__\" = \"127.0.0.1\", \"module\" = \"if_mib\", \"site\" = \"a\", \"target\" = \"x\"}]",
	} {
		if diff := cmp.Diff(want, exportertest.New(t, Definition(), settings).Targets()[0]); diff != "" {
			t.Errorf("%s: %s", settings, diff)
		}
	}
	got := exportertest.New(t, Definition(), target("h", "walk_params = \"w\"\nsnmp_context = \"c\"\nauth = \"a\"")).Targets()[0]
	if got["__param_walk_params"] != "w" || got["__param_snmp_context"] != "c" || got["__param_auth"] != "a" {
		t.Errorf("%v", got)
	}
}

func TestModulesAreReplacedOrMerged(t *testing.T) {
	a := newAgent(t, values()...)
	path := filepath.Join(t.TempDir(), "snmp.yml")
	if err := os.WriteFile(path, []byte("auths:\n  public_v2: {community: hunter2, version: 2}\nmodules:\n"+module("one", "1.3.6.1.2.1.1.3.0")), 0o600); err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("config_file = %q\n", path)
	for settings, want := range map[string]string{
		file + target(a.address, `module = "one"`):                                            "oneValue 42",
		file + target(a.address, `module = "system"`):                                         `there is no module "system"`,
		file + "config_merge_strategy = \"merge\"\n" + target(a.address, `module = "system"`): "sysUpTime 42",
		file + "config_merge_strategy = \"merge\"\n" + target(a.address, `module = "one"`):    "oneValue 42",
		target(a.address, `module = "system"`):                                                "sysUpTime 42",
	} {
		if _, page := exportertest.New(t, Definition(), settings).Page(); !page.Has(want) {
			t.Errorf("%s: no %s in\n%s", settings, want, page)
		}
	}
}

func TestModulesAreAskedForAtOnce(t *testing.T) {
	a := newAgent(t, values()...)
	var both sync.WaitGroup
	both.Add(2)
	a.answers(func() bool { both.Done(); both.Wait(); return true })
	if code, page := exportertest.New(t, Definition(), config()+"concurrency = 2\n"+target(a.address, `module = "one,two"`)).Page(); code != 200 || !page.Has("oneValue 42") || !page.Has("twoValue 7") {
		t.Errorf("%d %s", code, page)
	}
}

func TestWalksAreAsTheirParametersSay(t *testing.T) {
	a := newAgent(t, values()...)
	ask := func(block, more string) (int, exportertest.Lines) {
		return exportertest.New(t, Definition(), config()+target(a.address, "walk_params = \"w\"\n"+more)+"walk_param \"w\" {\n"+block+"\n}").Page()
	}
	if code, page := ask("max_repetitions = 7", `module = "walking"`); code != 200 || a.packets()[0].MaxRepetitions != 7 {
		t.Errorf("%d %s", code, page)
	}
	a.answers(afterLosing(2))
	if code, page := ask("retries = 2\ntimeout = \"20ms\"", `module = "one"`); code != 200 || !page.Has(`snmp_scrape_packets_retried{module="one"} 2`) {
		t.Errorf("%d %s", code, page)
	}
	a.answers(afterLosing(2))
	if code, page := ask("timeout = \"20ms\"", `module = "one"`); code != 500 || !strings.Contains(page.String(), "after 0 retries") {
		t.Errorf("%d %s", code, page)
	}
	a.answers(nil)
	a.mu.Lock()
	a.other = true
	a.mu.Unlock()
	if code, page := ask("use_unconnected_udp_socket = true", `module = "one"`); code != 200 || !page.Has("oneValue 42") {
		t.Errorf("%d %s", code, page)
	}
	if code, page := ask("timeout = \"20ms\"", `module = "one"`); code != 500 {
		t.Errorf("an answer from another address is accepted: %d %s", code, page)
	}
}

func TestTheContextIsForVersion3(t *testing.T) {
	e := exportertest.New(t, Definition(), "config_merge_strategy = \"merge\"\nconfig = `auths: {v3: {username: me, security_level: noAuthNoPriv, version: 3, context_name: byDefault}}`")
	for given, want := range map[string]string{"": "byDefault", "shop": "shop"} {
		q, err := e.Component.(*SNMP).question(map[string][]string{"target": {"h"}, "auth": {"v3"}, "snmp_context": {given}})
		if err != nil {
			t.Fatal(err)
		}
		g := &gosnmp.GoSNMP{}
		(&asking{ctx: t.Context(), question: q}).configure(g)
		if g.ContextName != want || g.Version != gosnmp.Version3 {
			t.Errorf("%q: the context is %q", given, g.ContextName)
		}
	}
}

func TestADeviceThatDoesNotAnswerFailsItsOwnScrapeOnly(t *testing.T) {
	silent, a := newAgent(t), newAgent(t, values()...)
	silent.answers(func() bool { return false })
	e := exportertest.New(t, Definition(), config()+target(silent.address, `module = "one"`))
	if code, page := e.Scrape(e.Targets()[0], "0.05"); code != 500 {
		t.Errorf("%d %s", code, page)
	}
	if r := e.Status().([]exporter.ProbeResult); len(r) != 1 || r[0].Success || r[0].Error == "" {
		t.Errorf("%+v", r)
	}
	other := e.Targets()[0]
	other["__param_target"] = a.address
	if code, page := e.Scrape(other, "10"); code != 200 || !page.Has("oneValue 42") {
		t.Errorf("another device: %d %s", code, page)
	}
}

// The library panics at an index of a type that it does not know.
func TestAPanicOfTheLibraryFailsTheScrapeOnly(t *testing.T) {
	a := newAgent(t, values()...)
	wrong := strings.Replace(config(), "name: twoValue,", "name: twoValue, indexes: [{labelname: x, type: nonsense}],", 1)
	e := exportertest.New(t, Definition(), wrong+target(a.address, `module = "two"`))
	if code, page := e.Page(); code != 500 || !strings.Contains(page.String(), "BUG: panic: Unknown index type nonsense") {
		t.Errorf("%d %s", code, page)
	}
	one := e.Targets()[0]
	one["__param_module"] = "one"
	if code, page := e.Scrape(one, "10"); code != 200 || !page.Has("oneValue 42") {
		t.Errorf("afterwards: %d %s", code, page)
	}
}

// The library walks on as long as a device answers, and keeps all answers.
func TestAWalkEndsThoughTheDeviceAnswersForever(t *testing.T) {
	const below = ".1.3.6.1.2.1.2.2."
	for text, next := range map[string]func(n int) gosnmp.SnmpPDU{
		"its responses loop": func(n int) gosnmp.SnmpPDU {
			return gosnmp.SnmpPDU{Name: below + fmt.Sprint(1+n%2), Type: gosnmp.Gauge32, Value: uint32(1)}
		},
		"exceeds": func(n int) gosnmp.SnmpPDU {
			return gosnmp.SnmpPDU{Name: below + fmt.Sprint(n+1), Type: gosnmp.OctetString, Value: make([]byte, 40000)}
		},
	} {
		a := newAgent(t)
		a.endless(next)
		e := exportertest.New(t, Definition(), config()+target(a.address, `module = "walking"`))
		if code, page := e.Scrape(e.Targets()[0], "60"); code != 500 || !strings.Contains(page.String(), text) {
			t.Errorf("%s: %d %s", text, code, page)
		}
	}
}

func TestADeviceThatMixesUpTheOrderIsRead(t *testing.T) {
	a := newAgent(t)
	a.endless(func(n int) gosnmp.SnmpPDU {
		if n >= 3 {
			return gosnmp.SnmpPDU{Name: ".1.3.6.1.2.1.3.0", Type: gosnmp.Gauge32, Value: uint32(1)}
		}
		return gosnmp.SnmpPDU{Name: fmt.Sprintf(".1.3.6.1.2.1.2.5.%d", []int{10, 9, 11}[n]), Type: gosnmp.Gauge32, Value: uint32(n)}
	})
	e := exportertest.New(t, Definition(), config()+target(a.address, `module = "walking"`))
	if code, page := e.Page(); code != 200 || !page.Has(`snmp_scrape_pdus_returned{module="walking"} 3`) {
		t.Errorf("%d %s", code, page)
	}
}

func TestNumbersOfOIDsAreCompared(t *testing.T) {
	for _, x := range []struct {
		a, b string
		want int
	}{
		{".1.3.6", ".1.3.6", 0}, {".1.3.6", ".1.3.6.1", -1}, {".1.3.10", ".1.3.9", 1}, {".1.3.9.7", ".1.3.10", -1}, {"", ".1", -1},
	} {
		if got := compareOIDs(x.a, x.b); got != x.want {
			t.Errorf("%s, %s: %d", x.a, x.b, got)
		}
		if got := compareOIDs(x.b, x.a); got != -x.want {
			t.Errorf("%s, %s: %d", x.b, x.a, got)
		}
	}
}

func TestWrongRequestsAreRejected(t *testing.T) {
	e := exportertest.New(t, Definition(), config())
	for text, want := range map[string]string{
		"":                                  "target is missing",
		"target=h&module=x":                 `there is no module "x"`,
		"target=h&auth=x":                   `there is no auth "x"`,
		"target=h&module=one&walk_params=x": `there is no walk_param "x"`,
	} {
		target := map[string]string{"__metrics_path__": "/metrics"}
		for pair := range strings.SplitSeq(text, "&") {
			name, value, _ := strings.Cut(pair, "=")
			target["__param_"+name] = value
		}
		if code, page := e.Scrape(target, "10"); code != 400 || !strings.Contains(page.String(), want) {
			t.Errorf("%s: %d %s", text, code, page)
		}
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	exportertest.RefusesArguments(t, Definition(), map[string]string{
		config() + "config_file = \"/x\"": "config and config_file are both set",
		"config_file = \"/absent/*\"":     "no file matches",
		"config_merge_strategy = \"add\"": `neither "replace" nor "merge"`,
		"config = `modulus: {}`":          "modulus",
		target("", ""):                    "a name and an address",
		"targets = [{\"name\" = \"a\", \"address\" = \"b\"}]\n" + target("a", ""): "keep one of them",
	})
}
