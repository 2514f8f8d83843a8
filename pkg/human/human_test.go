package human

import (
	"testing"
	"time"
)

func TestAsPeopleWrite(t *testing.T) {
	for _, c := range [][2]string{
		{Count(5880), "5,880"}, {Count(-1234567), "-1,234,567"}, {Count(0.5), "0.5"},
		{Many(1, "span"), "1 span"}, {Many(2686, "span"), "2,686 spans"},
		{Short(1234), "1.23k"}, {Short(2e6), "2M"},
		{Size(900), "900 B"}, {Size(1.2 * 1024 * 1024), "1.2 MiB"},
		{Limit(200_000), "200 kB"}, {Limit(1 << 30), "1 GiB"}, {Limit(64 << 10), "64 KiB"}, {Limit(5_000_000), "5 MB"}, {Limit(90_113), "88.0 KiB"}, {Limit(0), "0 B"},
		{Duration(17500 * time.Nanosecond), "17 µs"}, {Duration(24 * time.Second), "24 s"}, {Duration(3 * time.Minute), "3 min"}, {Duration(90 * time.Minute), "1 h 30 min"}, {Duration(100 * time.Hour), "4 days"},
		{Since(0), "just now"}, {Since(24 * time.Second), "24 s ago"}, {Since(-24 * time.Second), "in 24 s"},
		{Unit("metrics"), "samples"}, {Unit("logs"), "lines"}, {Unit("traces"), "spans"}, {Unit("profiles"), "profiles"},
	} {
		if c[0] != c[1] {
			t.Errorf("%q, not %q", c[0], c[1])
		}
	}
}
