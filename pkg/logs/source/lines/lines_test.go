package lines

import (
	"testing"
	"time"
)

func TestTimesRiseUnlessTheClockIsSetBack(t *testing.T) {
	f := func(by time.Duration, want time.Duration) {
		t.Helper()
		const last = int64(1e18)
		if got := time.Duration(Time(last, last+int64(by)) - last); got != want {
			t.Errorf("%s after an entry: its time is %s after it, want %s", by, got, want)
		}
	}
	f(time.Hour, time.Hour)
	f(1, 1)
	f(0, 1)
	f(-time.Millisecond, 1)
	f(-time.Second+1, 1)
	f(-time.Second, -time.Second)
	f(-time.Hour, -time.Hour)
}
