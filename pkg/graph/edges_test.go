package graph

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/live"
	"collector/pkg/pipeline"
)

// send has the toy source give one line to each of its receivers.
func (b bench) send() {
	b.t.Helper()
	line := pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromStrings("a", "b"), Entries: []pipeline.Entry{{Line: "x"}}}}}
	for _, sink := range b.toys.get("toy.source.s").(*toySource).config.ForwardTo {
		if err := sink.WriteLogs(b.t.Context(), line); err != nil {
			b.t.Fatal(err)
		}
	}
}

// edges are the current ones with how many lines have passed them.
func (b bench) edges() map[string]uint64 {
	counts := map[string]uint64{}
	for _, e := range b.Edges() {
		counts[e.From+" "+e.To] = e.Count(live.Logs).Items
	}
	return counts
}

func TestEdgesCountOnWhenTheirComponentsAreReplaced(t *testing.T) {
	inBubble(t, func(b bench) {
		check := func(want map[string]uint64) {
			t.Helper()
			got := b.edges()
			for edge, n := range want {
				if got[edge] != n || len(got) != len(want) {
					t.Errorf("got %v, want %v", got, want)
				}
			}
		}
		b.load(pipeline1)
		b.send()
		check(map[string]uint64{"toy.source.s toy.logs.w": 1})

		b.load(strings.Replace(pipeline1, `"w" { }`, `"w" { max_streams = 1 }`, 1))
		b.send()
		check(map[string]uint64{"toy.source.s toy.logs.w": 2})

		two := `toy.logs "v" { }` + strings.Replace(pipeline1, "[toy", "[toy.logs.v.receiver, toy", 1)
		b.load(two)
		b.send()
		check(map[string]uint64{"toy.source.s toy.logs.v": 1, "toy.source.s toy.logs.w": 3})

		if b.Load(b.t.Context(), source(pipeline1+"nonsense")) == nil {
			t.Error("nonsense was loaded")
		}
		check(map[string]uint64{"toy.source.s toy.logs.v": 1, "toy.source.s toy.logs.w": 3})
	})
}

func TestAReceiverIsShownByItsNameBehindItsEdge(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		info, _ := b.Component("toy.source.s")
		if !strings.Contains(string(info.Arguments), "toy.logs.w.receiver") {
			t.Errorf("arguments: %s", info.Arguments)
		}
	})
}
