package promtail

import (
	"testing"
	"time"

	"collector/pkg/component"
)

// A size that is too large for the type is invalid: 0 would mean that there is no limit.
func TestSizes(t *testing.T) {
	const most = 1<<50 - 1
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1B": 1, "2kb": 2 << 10, "3 KiB": 3 << 10, "4m": 4 << 20, "5G": 5 << 30, "1023T": 1023 << 40, "1125899906842623": most,
		"1125899906842624": -1, "1024T": -1, "1099511627776K": -1, "16777216T": -1, "16777217T": -1, "1125899906842623T": -1,
		"": -1, "K": -1, "-1": -1, "1.5K": -1, "1KK": -1, "1KM": -1, "1P": -1, "x": -1,
	} {
		if got, ok := parseBytes(text); ok != (want >= 0) || ok && got != component.Bytes(want) {
			t.Errorf("%q is %d, %t, want %d", text, got, ok, want)
		}
	}
}

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"1h": time.Hour, "1d": day, "2w1d1h": 15*day + time.Hour, "100y": 100 * 365 * day, "101y": -1,
		"100y5214w36500d": -1, "100y5214w3650d2000000h": -1, "3000000h": -1, "": -1, "x": -1,
	} {
		if got, ok := parseDuration(text); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q is %s, %t, want %s", text, got, ok, want)
		}
	}
}
