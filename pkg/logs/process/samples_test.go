package process

import (
	"strings"
	"testing"
)

// The component keeps a few of the lines that come in, whether it has something to
// hold or not.
func TestTheLastLinesAreKept(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		for _, cfg := range []Config{multilineConfig("^A"), {Stages: []StageConfig{{Decolorize: &DecolorizeConfig{}}}}} {
			b.cfg = cfg
			b.start()
			line := strings.Repeat("x", 20_000)
			b.write(linesAt("s", 1, "1", line))
			recent := b.p.Stages().Recent()
			if len(recent) != 2 || !recent[0].Cut || !strings.HasPrefix(line, recent[0].Line) || recent[1].Line != "1" || recent[1].Labels.Get("stream") != "s" || recent[1].ID == 0 {
				t.Errorf("%+v", recent)
			}
		}
	})
}
