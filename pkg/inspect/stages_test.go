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
			s.Offer(batchOf(strconv.Itoa(i)), time.Now())
			time.Sleep(samplesPause)
		}
		recent := s.Recent()
		if len(recent) != keptSamples || recent[0].Line != "9" || recent[9].Line != "0" || recent[0].ID != 10 {
			t.Fatalf("%+v", recent)
		}
		time.Sleep(samplesFor)
		for i := range 30 {
			s.Offer(batchOf("later "+strconv.Itoa(i)), time.Now())
			time.Sleep(samplesPause)
		}
		if recent := s.Recent(); len(recent) != keptSamples || recent[0].Line != "later 9" {
			t.Errorf("%+v", recent)
		}
		time.Sleep(samplesFor)
		again := batchOf(strings.Repeat("y", 2*maxSample))
		for range 5 { // its caller retries, as nobody accepts it
			time.Sleep(samplesPause)
			s.Offer(again, time.Now())
		}
		s.Offer(pipeline.Logs{}, time.Now())
		s.Offer(batchOf(), time.Now())
		if recent := s.Recent(); len(recent[0].Line) != maxSample || !recent[0].Cut || recent[1].Line != "later 9" {
			t.Errorf("%d %s", len(recent[0].Line), recent[1].Line)
		}
	})
}

func TestSampledLinesAreSpreadOverTheCall(t *testing.T) {
	for n, want := range map[int]string{1: "0", 3: "2 1 0", 12: "9 7 4 2 0"} {
		var s LogSamples
		var logs pipeline.Logs
		for i := range n {
			one := batchOf(strconv.Itoa(i))
			if logs.Streams = append(logs.Streams, one.Streams...); i == 2 { // several streams, and several entries of one
				logs.Streams[0].Entries, logs.Streams = append(logs.Streams[0].Entries, logs.Streams[1].Entries[0], one.Streams[0].Entries[0]), logs.Streams[:1]
			}
		}
		var got []string
		for _, l := range s.offered(logs) {
			got = append(got, l.Line)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("of %d: %v", n, got)
		}
	}
}

func (s *LogSamples) offered(logs pipeline.Logs) []LogSample {
	s.Offer(logs, time.Now())
	return s.Recent()
}

// A line that begins as another one of the same time is not a repeat of it.
func TestALongerLineIsNotARepeat(t *testing.T) {
	var s LogSamples
	logs := batchOf("GET /", "GET /cart", "", "GET /")
	for i := range logs.Streams[0].Entries {
		logs.Streams[0].Entries[i].Time = time.Unix(1, 0)
	}
	if kept := s.offered(logs); len(kept) != 3 {
		t.Errorf("%+v", kept)
	}
}

func BenchmarkOffer(b *testing.B) {
	var s LogSamples
	logs := batchOf("x")
	b.ReportAllocs()
	for b.Loop() {
		s.Offer(logs, time.Now())
	}
}
