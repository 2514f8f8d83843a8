package component

import "testing"

func TestAnAverageHasTheUnitOfItsMetric(t *testing.T) {
	for _, c := range []struct {
		name string
		v    float64
		want string
	}{
		{"scrape_seconds", 1.75e-05, "17.5 µs"}, {"scrape_seconds", 0.0421, "42.1 ms"}, {"scrape_seconds", 3, "3 s"},
		{"body_bytes", 1.2 * (1 << 20), "1.2 MiB"}, {"batch_entries", 2686, "2.69k"},
	} {
		if got := inUnit(c.name, c.v); got != c.want {
			t.Errorf("%s of %g: %q, not %q", c.name, c.v, got, c.want)
		}
	}
}

func TestLinesAreNamedAsARange(t *testing.T) {
	for want, of := range map[string][2]int{"line 12": {12, 12}, "lines 3–7": {3, 7}} {
		if got := lines(of[0], of[1]); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
