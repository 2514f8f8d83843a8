package promname

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMetricsAreNamedAsPrometheusHasThem(t *testing.T) {
	f := func(name, unit string, kind Kind, want, wantPlain string) {
		t.Helper()
		if got := Metric(name, unit, kind, true); got != want {
			t.Errorf("%q in %q: %q, want %q", name, unit, got, want)
		}
		if got := Metric(name, unit, kind, false); got != wantPlain {
			t.Errorf("%q without suffixes: %q, want %q", name, got, wantPlain)
		}
	}
	f("http.server.duration", "s", Other, "http_server_duration_seconds", "http_server_duration")
	f("disk.io", "By", Counter, "disk_io_bytes_total", "disk_io")
	f("disk.io.bytes", "By", Counter, "disk_io_bytes_total", "disk_io_bytes")
	f("bytes_total.sent", "By", Counter, "bytes_sent_total", "bytes_total_sent")
	f("orders", "1", Counter, "orders_total", "orders")
	f("cpu.usage", "1", Gauge, "cpu_usage_ratio", "cpu_usage")
	f("ratio.of.hits", "1", Gauge, "of_hits_ratio", "ratio_of_hits")
	f("cpu.usage", "1", Other, "cpu_usage", "cpu_usage")
	f("io", "By/s", Gauge, "io_bytes_per_second", "io")
	f("speed", "m/s", Gauge, "speed_meters_per_second", "speed")
	f("rate.per.second", "{op}/s", Gauge, "rate_per_second", "rate_per_second")
	f("ops", "{op}/min", Gauge, "ops_per_min", "ops")
	f("queue", "{item}", Gauge, "queue", "queue")
	f("queue", "items", Gauge, "queue_items", "queue")
	f("used", "%", Gauge, "used_percent", "used")
	f("odd", " \u00b0F $", Gauge, "odd_F", "odd")
	f("odd", "///", Gauge, "odd", "odd")
	f("9lives", "", Gauge, "_9lives", "_9lives")
	f("_lead__twice_", "", Gauge, "lead_twice", "_lead__twice_")
	f("ns:rule", "", Gauge, "ns_rule", "ns:rule")
	f("-caf\u00e9-", "", Gauge, "caf\u00e9", "caf\u00e9")
	f("", "", Gauge, "", "")
	f("", "", Counter, "total", "")
}

func TestUnitsOfPrometheusBecomeUCUM(t *testing.T) {
	for words, want := range map[string]string{
		"": "", "seconds": "s", "bytes": "By", "ratio": "1", "percent": "%", "meters_per_second": "m/s", "things_per_fortnight": "things/fortnight", "things": "things",
	} {
		if got := Unit(words); got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
}

func TestAttributesBecomeNamesOfLabels(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "job": "job", "http.method": "http_method", "k8s.pod-name": "k8s_pod_name", "with space": "with_space",
		"9lives": "key_9lives", "_own": "key_own", "__own": "__own", ".own": "key_own", "caf\u00e9": "caf\u00e9", "a:b": "a_b",
	} {
		if got := Label(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// The result is a valid name: no digit first, no other characters, and the same again.
func FuzzNames(f *testing.F) {
	f.Add("http.server.duration", "s")
	f.Add("9lives", "By/s")
	f.Add("_\x80", "{}/%")
	f.Fuzz(func(t *testing.T, name, unit string) {
		for _, kind := range []Kind{Other, Gauge, Counter} {
			for _, suffixes := range []bool{false, true} {
				got := Metric(name, unit, kind, suffixes)
				if strings.ContainsFunc(got, func(r rune) bool { return !alphanumeric(r) && r != '_' && r != ':' && r != utf8.RuneError }) {
					t.Errorf("%q in %q: %q", name, unit, got)
				}
				if got != "" && got[0] >= '0' && got[0] <= '9' {
					t.Errorf("%q begins with a digit", got)
				}
			}
		}
		label := Label(name)
		if (label == "") != (name == "") || strings.ContainsFunc(label, func(r rune) bool { return !alphanumeric(r) && r != '_' }) {
			t.Errorf("%q: %q", name, label)
		}
		if again := Label(label); again != label {
			t.Errorf("%q: %q, and then %q", name, label, again)
		}
	})
}
