package graph

import (
	"slices"
	"strings"
	"testing"
)

// An instance's name is that of its folder: with another one, a source would read
// everything again.
func TestAnElementWithAReceiverHasTheSameNameInEveryProcess(t *testing.T) {
	const text = `
toy.logs "w" { }
foreach "f" {
	collection = [{"host" = "a", "to" = [toy.logs.w.receiver]}]
	var        = "each"
	template {
		toy.source "s" {
			host       = each["host"]
			forward_to = each["to"]
		}
	}
}`
	id := "foreach.f/foreach_" + digest(`map[string]interface {}{"host":"a", "to":[]interface {}{"toy.logs.w.receiver"}}`) + "_1/toy.source.s"
	inBubble(t, func(b bench) {
		if log := b.load(text); !slices.Contains(log, "run "+id) {
			t.Errorf("%s does not run: %q", id, log)
		}
		b.want(b.load(text)) // the same again does nothing
		if log := b.load(strings.Replace(text, `"w" { }`, `"w" { max_streams = 3 }`, 1)); !slices.Contains(log, "run "+id) {
			t.Errorf("with another receiver, %s does not run: %q", id, log)
		}
	})
}
