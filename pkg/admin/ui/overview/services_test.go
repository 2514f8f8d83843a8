package overview

import (
	"strings"
	"testing"
)

// Traces and profiles are assigned by the service's name alone.
func TestWhatMayBelongToAnotherProjectIsMarked(t *testing.T) {
	for _, c := range []struct {
		yes, ambiguous bool
		want           string
	}{{true, false, ">seen<"}, {true, true, "seen, in this or another project"}, {false, true, "–"}} {
		var b strings.Builder
		if err := seen(c.yes, c.ambiguous).Render(&b); err != nil || !strings.Contains(strings.ReplaceAll(b.String(), " seen<", ">seen<"), c.want) {
			t.Errorf("%+v: %s, %v", c, b.String(), err)
		}
	}
}
