package suggest

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"forward_to", "host", "refresh_interval", "targets"}
	f := func(in, want string) {
		t.Helper()
		if got := Nearest(in, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
	f("foward_to", "forward_to")
	f("forwardto", "forward_to")
	f("hsot", "host")
	f("Targets", "targets")
	f("refresh", "")
	f("zzz", "")
	f("", "")
}

func TestWithin(t *testing.T) {
	names := []string{"metrics_port", "metric_scrape"}
	for name, want := range map[string]string{"metrics_scrape": "metric_scrape", "metrics_path": "", "METRICS_PORT": "metrics_port"} {
		if got := Within(2, name, names); got != want {
			t.Errorf("Within(2, %q) = %q, want %q", name, got, want)
		}
	}
}
