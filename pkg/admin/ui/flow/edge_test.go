package flow

import (
	"strings"
	"testing"
)

// A rate that is not known yet is no rate of 0.
func TestARateOfAnEdgeIsShownOnceItIsKnown(t *testing.T) {
	known := EdgeRate{Signal: "logs", Recent: []float64{0}}
	for want, sum := range map[string][]EdgeRate{
		"– / 0 lines/s": {{Signal: "logs"}, known},
		"0 lines/s":     BySignal([]EdgeRate{{Signal: "logs"}, known}),
		"–":             BySignal([]EdgeRate{{Signal: "logs"}, {Signal: "logs"}}),
	} {
		if got := strings.ReplaceAll(RateText(sum), ", ", " / "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
