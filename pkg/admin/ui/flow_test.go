package ui

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestADestinationThatDoesNotAnswerIsShownBeforeItIsDown(t *testing.T) {
	silent := Destination{Component: "prometheus.remote_write.a", URL: "http://a", Signal: "metrics", Healthy: true, Stores: true, UnansweredSince: time.Now().Add(-7 * time.Second)}
	u := newTestUI(t, small, func(o *Options) { o.Destinations = deliveries{silent} })
	if page := get(t, u, "/"); !regexp.MustCompile(`<span class="badge warn">.{30,50}no answer for \d+ s</span>`).MatchString(page) {
		t.Errorf("the overview does not say so: %s", page)
	}
	if text := get(t, u, "/api/v1/overview"); !strings.Contains(text, `"unansweredSince":"2`) {
		t.Errorf("the API does not say so: %s", text)
	}
	silent.Healthy, silent.LastError, silent.Queued = false, "no answer for 16s; the request is still under way", 3
	found := silent.problems(time.Now())
	if len(found) != 1 || !strings.Contains(found[0].Message, "no answer for 16s") || !strings.Contains(found[0].Mend, "does not answer in time") {
		t.Errorf("%+v", found)
	}
}

func TestARateIsShownOnceItIsKnown(t *testing.T) {
	d := Destination{Component: "prometheus.remote_write.a", URL: "http://a", Signal: "metrics", Received: 5, Delivered: 5, Healthy: true, Stores: true}
	for want, recent := range map[string][]float64{"–, 5 in all": nil, "0/s, 5 in all": {0}, "3/s, 5 in all": {3}} {
		d.Recent = DestinationRecent{In: recent, Out: recent}
		u := newTestUI(t, small, func(o *Options) { o.Destinations = deliveries{d} })
		if page := get(t, u, "/"); strings.Count(page, want) != 2 {
			t.Errorf("not twice %q: %s", want, page)
		}
	}
	known := EdgeRate{Signal: "logs", Recent: []float64{0}}
	for want, sum := range map[string][]EdgeRate{
		"– / 0 lines/s": {{Signal: "logs"}, known},
		"0 lines/s":     bySignal([]EdgeRate{{Signal: "logs"}, known}),
		"–":             bySignal([]EdgeRate{{Signal: "logs"}, {Signal: "logs"}}),
	} {
		if got := strings.ReplaceAll(rateText(sum), ", ", " / "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
