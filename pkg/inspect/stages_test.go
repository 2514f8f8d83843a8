package inspect

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

func batchOf(lines ...string) pipeline.Logs {
	s := pipeline.Stream{Labels: labels.FromStrings("app", "a")}
	for _, line := range lines {
		s.Entries = append(s.Entries, pipeline.Entry{Time: time.Now(), Line: line})
	}
	return pipeline.Logs{Streams: []pipeline.Stream{s}}
}

func TestAFewOfTheLinesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s LogSamples
		for i := range 30 {
			s.Offer(batchOf("x", strconv.Itoa(i)))
		}
		recent := s.Recent()
		if len(recent) != keptSamples || recent[0].Line != "9" || recent[9].Line != "0" || recent[0].ID != 10 {
			t.Fatalf("%+v", recent)
		}
		time.Sleep(samplesFor)
		for i := range 30 {
			s.Offer(batchOf("later " + strconv.Itoa(i)))
		}
		if recent := s.Recent(); len(recent) != keptSamples || recent[0].Line != "later 9" {
			t.Errorf("%+v", recent)
		}
		time.Sleep(samplesFor)
		again := batchOf(strings.Repeat("y", 2*maxSample))
		for range 5 { // its caller comes again, as nobody takes it
			s.Offer(again)
		}
		s.Offer(pipeline.Logs{})
		s.Offer(batchOf())
		if recent := s.Recent(); len(recent[0].Line) != maxSample || !recent[0].Cut || recent[1].Line != "later 9" {
			t.Errorf("%d %s", len(recent[0].Line), recent[1].Line)
		}
	})
}

func BenchmarkOffer(b *testing.B) {
	var s LogSamples
	logs := batchOf("x")
	b.ReportAllocs()
	for b.Loop() {
		s.Offer(logs)
	}
}
