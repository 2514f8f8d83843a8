package httpsend

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
)

// longestRetryAfter is longer than any caller waits.
const longestRetryAfter = 24 * time.Hour

// RetryAfter is how long an answer asks to wait: Retry-After in seconds, or a
// date. A date is counted from the answer's own, so that it means the same
// whatever this machine's clock shows. It is 0 when the answer asks for nothing.
func RetryAfter(answer http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(answer.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds > 0 && seconds < 1e9 {
		return time.Duration(min(seconds, longestRetryAfter.Seconds()) * float64(time.Second))
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(answer.Get("Date")); err == nil {
		now = date
	}
	return bounded(at.Sub(now))
}

// RetryInfo is the same of a google.rpc.Status, as OTLP has it.
func RetryInfo(s *spb.Status) time.Duration {
	for _, packed := range s.GetDetails() {
		var info errdetails.RetryInfo
		if packed.MessageIs(&info) && packed.UnmarshalTo(&info) == nil {
			return bounded(info.GetRetryDelay().AsDuration())
		}
	}
	return 0
}

func bounded(wait time.Duration) time.Duration { return max(0, min(wait, longestRetryAfter)) }
