package listen

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

func TestATallySaysWhatCameAndWhatWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tally := NewTally("traces", "logs")
		start := time.Now()
		tally.Accept("traces", 7)
		tally.Accept("traces", 0)
		tally.Accept("profiles", 5) // which the receiver does not accept
		tally.RefuseItems("traces", 2)
		time.Sleep(time.Minute)
		tally.Accept("traces", 1)
		for i := range 3 { // of one reason, at once
			tally.Refuse("malformed", "10.0.0.7:1", errors.New([]string{"no protobuf", "again", "again"}[i]))
		}
		got := tally.Received("gRPC on :4317")
		traces, logs := got.Signals[0], got.Signals[1]
		if traces.Items != 8 || traces.Refused != 2 || traces.Last.Sub(start) != time.Minute || logs.Items != 0 || !logs.Last.IsZero() || len(got.Signals) != 2 {
			t.Errorf("%+v", got.Signals)
		}
		if got.Refused["malformed"] != 3 || got.Last.Error != "no protobuf" || got.Last.Client != "10.0.0.7:1" || got.Listens[0] != "gRPC on :4317" {
			t.Errorf("%+v", got)
		}
		tally.Refuse("too_large", "", errors.New(strings.Repeat("x", 10_000)))
		if last := tally.Received().Last; last.Reason != "too_large" || len(last.Error) > 600 {
			t.Errorf("%s, %d bytes", last.Reason, len(last.Error))
		}
		tally.Refuse("encoding", "", errors.New("x"+strings.Repeat("ä", 1000)))
		if last := tally.Received().Last; !utf8.ValidString(last.Error) || !strings.HasSuffix(last.Error, "ä…") {
			t.Errorf("%q", last.Error)
		}
		time.Sleep(time.Second)
		tally.Refuse("too_large", "", errors.New("later"))
		if last := tally.Received().Last; last.Error != "later" || got.Refused["too_large"] != 0 {
			t.Errorf("%+v", last)
		}
	})
}
