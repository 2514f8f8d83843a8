package process

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// pointer is a pointer to a value of a configuration.
func pointer(text string) *string { return &text }

// levelOfLines extracts what is in brackets as a label.
func levelOfLines() StageConfig {
	return StageConfig{Regex: &RegexConfig{Expression: `\[(?P<level>\w+)\]`, LabelsFromGroups: true}}
}

// A journal of an earlier version is read as it was written.
func TestAJournalOfAnEarlierVersionIsRead(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.end()
		data, err := os.ReadFile(b.golden)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.dir, journalFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		b.start()
		b.pass(restoredGrace + 5*time.Second)
		b.want("Ac", "was out", "Ax\ny", "A1\n a")
		if got := b.sink.All()[3].Metadata; got != `{k="v"}` {
			t.Errorf("metadata %s", got)
		}
	})
}

// What stages before the first that holds have extracted is available after it, even
// after a kill.
func TestWhatWasExtractedBeforeALineIsHeldSurvivesAKill(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.cfg.Stages = []StageConfig{
			{Regex: &RegexConfig{Expression: `user=(?P<user>\w+)`}},
			b.cfg.Stages[0],
			{StructuredMetadata: &StructuredMetadataConfig{Values: map[string]*string{"user": nil}}},
		}
		b.start()
		b.write(linesAt("stderr", 1, "A1 user=ann", " a"))
		b.kill()
		b.start()
		b.write(linesAt("stderr", 3, " b user=ben", "A2 user=cid"))
		b.want("A1 user=ann\n a\n b user=ben")
		if got := b.sink.All()[0].Metadata; got != `{user="ann"}` {
			t.Errorf("metadata %s", got)
		}
		// The same after a compaction of the journal.
		b.kill()
		b.start()
		b.kill()
		b.start()
		b.pass(restoredGrace + 5*time.Second)
		if got := b.sink.All(); len(got) != 2 || got[1].Metadata != `{user="cid"}` {
			t.Errorf("entries %+v", got)
		}
	})
}

// What was extracted from the entries of one call is not that of another's, whether
// they are of one stream or of several.
func TestExtractedValuesStayWithTheirEntry(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.cfg.Stages = []StageConfig{
			{Regex: &RegexConfig{Expression: `user=(?P<user>\w+)`}},
			b.cfg.Stages[0],
			{StructuredMetadata: &StructuredMetadataConfig{Values: map[string]*string{"user": nil}}},
		}
		b.start()
		b.write(linesAt("a", 1, "A1 user=ann", "A2"), linesAt("b", 1, "A3 user=ben", " x"), linesAt("c", 1, "A4 user=cid", "A5 user=dan"))
		b.write(linesAt("b", 3, "A6", "A7 user=eva"), linesAt("a", 3, "A8 user=fay"))
		b.write(linesAt("c", 3, "A9"), linesAt("a", 4, "A10"), linesAt("b", 5, "A11"))
		b.pass(5 * time.Second)
		got := map[string]string{}
		for _, e := range b.sink.All() {
			got[e.Line] = e.Metadata
		}
		want := map[string]string{
			"A1 user=ann": `{user="ann"}`, "A2": "", "A3 user=ben\n x": `{user="ben"}`, "A4 user=cid": `{user="cid"}`, "A5 user=dan": `{user="dan"}`, "A6": "",
			"A7 user=eva": `{user="eva"}`, "A8 user=fay": `{user="fay"}`, "A9": "", "A10": "", "A11": "",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("metadata (-want +got):\n%s", diff)
		}
	})
}

// The journal has what comes to the first stage that holds: what stages before it
// drop isn't in it, and what they make is.
func TestTheJournalBeginsAtTheFirstStageThatHolds(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.cfg.Stages = []StageConfig{
			{Drop: &DropConfig{Expression: "secret"}}, levelOfLines(), {Match: &MatchConfig{Selector: `{level="error"}`, Stages: b.cfg.Stages}},
		}
		b.start()
		b.write(linesAt("app", 1, "A [info] 1", "A [error] 1", "A secret [error]", "A [error] 2", "A [info] 2"))
		b.want("A [error] 1", "A [info] 1", "A [info] 2")
		var inputs []string
		data, err := os.ReadFile(filepath.Join(b.dir, journalFile))
		if err != nil {
			t.Fatal(err)
		}
		readJournal(data, func(r record) {
			for _, e := range r.entries {
				inputs = append(inputs, r.labels.Get("level")+" "+e.Line)
			}
		})
		if d := cmp.Diff([]string{"error A [error] 1", "error A [error] 2"}, inputs); d != "" {
			t.Errorf("journal (-want +got):\n%s", d)
		}
		b.kill()
		b.start()
		b.pass(restoredGrace + 5*time.Second)
		b.want("A [error] 1", "A [info] 1", "A [info] 2", "A [error] 2")
	})
}

// Without a stage that holds, nothing is written, and all stages run.
func TestAPipelineThatHoldsNothingHasNoJournal(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.end()
		b.dir = filepath.Join(b.dir, "own")
		b.cfg.Stages = []StageConfig{levelOfLines()}
		b.start()
		b.write(linesAt("a", 1, "[info] x", "[error] y", "[info] z"))
		got := b.sink.All()
		if len(got) != 3 || got[0].Labels != `{level="info", stream="a"}` || got[1].Line != "[info] z" || got[2].Labels != `{level="error", stream="a"}` {
			t.Errorf("entries %+v", got)
		}
		if _, err := os.Stat(b.dir); !os.IsNotExist(err) {
			t.Errorf("the folder was made: %v", err)
		}
		p := b.p
		b.end()
		if err := p.WriteLogs(b.t.Context(), pipeline.Logs{Streams: []pipeline.Stream{linesAt("a", 1, "x")}}); !errors.Is(err, pipeline.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// What was held when the configuration lost the stage that held it comes out.
func TestWhatARemovedStageHeldComesOut(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.write(linesAt("stderr", 1, "A1", " a"))
		b.kill()
		b.cfg.Stages = []StageConfig{{Decolorize: &DecolorizeConfig{}}}
		b.start()
		b.write(linesAt("stdout", 1, "passes"))
		b.pass(5 * time.Second)
		b.want("A1", " a", "passes")
		b.pass(2 * armedFor)
		if n := b.journalSize(); n != 0 {
			t.Errorf("the journal has %d bytes", n)
		}
	})
}

// Parts of a line that the runtime has cut wait for the last one, even across a restart
// and a kill, and however long it takes.
func TestPartsOfALineWaitForTheRestOverRestarts(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		part := func(second, flags, content string) string {
			return "2026-01-02T03:04:0" + second + "Z stdout " + flags + " " + content
		}
		b.cfg.Stages = []StageConfig{{CRI: &CRIConfig{MaxPartialLines: 100}}}
		b.start()
		b.write(linesAt("a", 1, part("1", "P", "one ")))
		b.start() // stopped cleanly
		b.write(linesAt("a", 2, part("2", "P", "two ")))
		b.kill()
		b.start()
		b.pass(time.Hour)
		b.want()
		b.write(linesAt("a", 3, part("3", "F", "three"), part("4", "F", "four")))
		b.want("one two three", "four")
		if got := b.sink.All()[0]; got.Labels != `{stream="stdout"}` || !got.Time.Equal(time.Date(2026, 1, 2, 3, 4, 3, 0, time.UTC)) {
			t.Errorf("entry %+v", got)
		}
	})
}

// A call that ends while a limit makes it wait is repeated, and has used nothing of the
// limit.
func TestACallThatEndsWhileALimitWaitsIsRepeated(t *testing.T) {
	inProcessBubble(t, func(b *processBench) {
		b.cfg.Stages = []StageConfig{{Limit: &LimitConfig{Rate: 0.001, Burst: 1}}}
		b.start()
		logs := pipeline.Logs{Streams: []pipeline.Stream{linesAt("a", 1, "x", "y")}}
		result := make(chan error, 1)
		p := b.p
		go func() { result <- p.WriteLogs(b.t.Context(), logs) }()
		b.pass(time.Second)
		b.end()
		if err := <-result; err == nil || pipeline.IsPermanent(err) {
			t.Errorf("WriteLogs: %v", err)
		}
		b.want()
	})
}

// Entries keep their order within each stream, whatever labels they get.
func TestEntriesKeepTheirOrder(t *testing.T) {
	var out output
	var want []string
	for i := range 1000 {
		stream := labels.FromStrings("n", string(rune('a'+i%26)))
		line := string(rune('a'+i%26)) + " " + time.Duration(i).String()
		out.add(stream, pipeline.Entry{Line: line})
		if i%26 == 7 {
			want = append(want, line)
		}
	}
	if len(out.streams) != 26 || out.entries != 1000 {
		t.Fatalf("%d streams, %d entries", len(out.streams), out.entries)
	}
	var got []string
	for _, e := range out.streams[7].Entries {
		got = append(got, e.Line)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	out.reset()
	out.add(labels.FromStrings("n", "z"), pipeline.Entry{Line: "new"})
	if len(out.streams) != 1 || len(out.streams[0].Entries) != 1 {
		t.Errorf("after a reset: %+v", out.streams)
	}
}
