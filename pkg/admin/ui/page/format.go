package page

import (
	"time"
	"unicode/utf8"

	"collector/pkg/human"
)

// Since says how long ago something was.
func Since(d time.Duration) string { return human.Since(d) }

// Duration is d rounded to about two figures.
func Duration(d time.Duration) string { return human.Duration(d) }

// Count is a number with commas between thousands.
func Count(v float64) string { return human.Count(v) }

// Many is a number of things: "1 profile", "2 profiles".
func Many(n int, what string) string { return human.Many(n, what) }

// Short is a number to three figures, with k, M or G.
func Short(v float64) string { return human.Short(v) }

// Size is a number of bytes.
func Size(bytes float64) string { return human.Size(bytes) }

// Cut is s, or its beginning if it has more than n bytes.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func Lag(s float64) string {
	if s <= 0 {
		return "none"
	}
	return Duration(time.Duration(s * float64(time.Second)))
}
