package httpsend

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfterIsTheServersTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, test := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"7", "", 7 * time.Second},
		{" 1.5 ", "", 1500 * time.Millisecond},
		{"0", "", 0},
		{"-3", "", 0},
		{"NaN", "", 0},
		{"1e300", "", 0},
		{"1e8", "", longestRetryAfter},
		{"soon", "", 0},
		{date(time.Minute), "", time.Minute},
		{date(-time.Minute), "", 0},
		{date(1000 * time.Hour), "", longestRetryAfter},
		// This machine's clock is an hour behind, or ahead.
		{date(time.Hour + time.Minute), date(time.Hour), time.Minute},
		{date(-time.Hour + time.Minute), date(-time.Hour), time.Minute},
		{"7", date(time.Hour), 7 * time.Second},
	} {
		h := http.Header{"Retry-After": {test.value}, "Date": {test.date}}
		if got := RetryAfter(h, now); got != test.want {
			t.Errorf("Retry-After: %q, Date: %q: %s, want %s", test.value, test.date, got, test.want)
		}
	}
}
