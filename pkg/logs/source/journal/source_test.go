package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

func rules(t *testing.T, all ...discovery.Rule) *discovery.Rules {
	t.Helper()
	for i := range all {
		r := all[i]
		all[i].SetToDefault()
		all[i].SourceLabels, all[i].TargetLabel = r.SourceLabels, r.TargetLabel
		if r.Action != "" {
			all[i].Action = r.Action
		}
		if r.Regex != "" {
			all[i].Regex = r.Regex
		}
		if r.Replacement != "" {
			all[i].Replacement = r.Replacement
		}
	}
	out, err := discovery.Compile(all)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEntriesArriveWithTheirTimeAndLabels(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) {
		c.Labels = map[string]string{"host": "h"}
		c.RelabelRules = rules(t,
			discovery.Rule{SourceLabels: []string{"__journal__systemd_unit"}, TargetLabel: "unit"},
			discovery.Rule{SourceLabels: []string{"__journal_priority_keyword"}, TargetLabel: "level"},
			discovery.Rule{SourceLabels: []string{"__journal_priority"}, TargetLabel: "priority"},
			discovery.Rule{SourceLabels: []string{"__journal_noise"}, Regex: "yes", Action: "drop"})
	}
	j := b.file(1, "system.journal").
		entry("MESSAGE=one", "_SYSTEMD_UNIT=a.service", "PRIORITY=3").
		entry("MESSAGE=noise", "NOISE=yes").
		entry("MESSAGE=two", "PRIORITY=6", "_SYSTEMD_UNIT=old", "_SYSTEMD_UNIT=b.service").
		entry("_SYSTEMD_UNIT=silent.service").
		entry("MESSAGE=three", "PRIORITY=9").
		entry("MESSAGE=bad \xff text")
	j.write()
	b.start()
	b.wait("one", "two", "three", "bad � text")
	first := b.now - 5*1000
	want := []logstest.Received{
		{Labels: `{host="h", job="loki.source.journal.test", level="error", priority="3", unit="a.service"}`, Time: time.UnixMicro(int64(first)), Line: "one"},
		{Labels: `{host="h", job="loki.source.journal.test", level="info", priority="6", unit="b.service"}`, Time: time.UnixMicro(int64(first + 2000)), Line: "two"},
		{Labels: `{host="h", job="loki.source.journal.test", level="9", priority="9"}`, Time: time.UnixMicro(int64(first + 4000)), Line: "three"},
		{Labels: `{host="h", job="loki.source.journal.test"}`, Time: time.UnixMicro(int64(first + 5000)), Line: "bad � text"},
	}
	for i, got := range b.sink.All() {
		if got.Labels != want[i].Labels || !got.Time.Equal(want[i].Time) {
			t.Errorf("entry %d: %+v, want %+v", i, got, want[i])
		}
	}
	m := b.source.metrics
	logstest.WantValue(t, "lines", m.lines, 4)
	logstest.WantValue(t, "no_message", m.errors.WithLabelValues(errorNoMessage), 1)
	logstest.WantValue(t, "empty_labels", m.errors.WithLabelValues(errorEmptyLabels), 1)
	logstest.WantValue(t, "invalid", m.invalidLines, 1)
}

func TestRulesThatMayLookAtAnyFieldDo(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) {
		c.Labels = map[string]string{"job": "mine", "data-center": "x"}
		c.RelabelRules = rules(t, discovery.Rule{Regex: "__journal_(syslog_.+)", Action: "labelmap"})
	}
	j := b.file(1, "system.journal")
	for range 3 {
		j.entry("MESSAGE=x", "SYSLOG_IDENTIFIER=cron", "SYSLOG_FACILITY=9")
	}
	j.write()
	b.start()
	b.wait("x", "x", "x")
	const want = `{data_center="x", job="mine", syslog_facility="9", syslog_identifier="cron"}`
	for _, got := range b.sink.All() {
		if got.Labels != want {
			t.Errorf("labels %s, want %s", got.Labels, want)
		}
	}
	r := b.source.Relabeling()
	inputs := r.Inputs()
	if len(inputs) != 3 {
		t.Fatalf("%d label sets are shown, want 3", len(inputs))
	}
	if trace := r.Trace(inputs[0], ""); !trace.Kept || trace.Output.String() != want || len(trace.Steps) != 1 {
		t.Errorf("the UI shows %+v", trace)
	}
}

func TestThePriorityHasTheNamesOfAlloysDocumentationToo(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) {
		c.RelabelRules = rules(t,
			discovery.Rule{SourceLabels: []string{"__journal__priority_keyword"}, TargetLabel: "level"},
			discovery.Rule{SourceLabels: []string{"__journal__priority"}, TargetLabel: "number"})
	}
	b.file(1, "system.journal").entry("MESSAGE=a", "PRIORITY=4").write()
	b.start()
	b.wait("a")
	if got, want := b.sink.All()[0].Labels, `{job="loki.source.journal.test", level="warning", number="4"}`; got != want {
		t.Errorf("labels %s, want %s", got, want)
	}
}

func TestTheUIShowsWhichRuleDropsAnEntry(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) {
		c.RelabelRules = rules(t,
			discovery.Rule{SourceLabels: []string{"__journal__comm"}, TargetLabel: "comm"},
			discovery.Rule{SourceLabels: []string{"comm"}, Regex: "noisy", Action: "drop"})
	}
	b.file(1, "system.journal").entry("MESSAGE=a", "_COMM=noisy").entry("MESSAGE=b", "_COMM=calm").write()
	b.start()
	b.wait("b")
	r := b.source.Relabeling()
	for _, input := range r.Inputs() {
		rule, kept := r.Dropper(input, "")
		if noisy := input.Get("__journal__comm") == "noisy"; kept == noisy || noisy && rule != 1 {
			t.Errorf("%s: kept: %t, rule %d", input, kept, rule)
		}
	}
	if got := b.source.Folders(); len(got) != 1 || got[0].Dropped != 1 {
		t.Errorf("%+v, want one that is dropped", got)
	}
}

func TestEntriesAreForwardedAsJSONIfConfigured(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) { c.FormatAsJSON = true }
	b.file(1, "system.journal").entry("MESSAGE=<a> & b", "CODE_FILE=x.go", "BINARY=\xff\n", "X=1", "X=2").entry("ONLY=this").write()
	b.start()
	b.wait(`{"BINARY":"\ufffd\n","CODE_FILE":"x.go","MESSAGE":"\u003ca\u003e \u0026 b","X":"2"}`, `{"ONLY":"this"}`)
}

func TestOnlyWhatMatchesIsForwarded(t *testing.T) {
	for matches, want := range map[string]string{
		"":                                     "a b c d",
		"U=x":                                  "a b",
		"U=x P=3":                              "a",
		"U=x U=y":                              "a b c",
		"U=x U=y P=3":                          "a c",
		"U=x P=3 + U=z":                        "a d",
		"  P=3  ":                              "a c",
		"U=none":                               "",
		"OPTS=a=b":                             "d",
		"_TRANSPORT=journal U=y + P=6 U=x U=z": "b d",
	} {
		t.Run(matches, func(t *testing.T) {
			b := newBench(t)
			b.change = func(c *Config) { c.Matches = matches }
			b.file(1, "system.journal").
				entry("MESSAGE=a", "U=x", "P=3").entry("MESSAGE=b", "U=x", "P=6").
				entry("MESSAGE=c", "U=y", "P=3").entry("MESSAGE=d", "U=z", "P=6", "OPTS=a=b").write()
			b.start()
			b.wait(strings.Fields(want)...)
			b.until("all are read", func() bool {
				f := b.source.Folders()
				return len(f) == 1 && f[0].Newest.UnixMicro() == int64(b.now)
			})
			b.end()
			b.wait(strings.Fields(want)...)
		})
	}
}

func TestInvalidMatchesAreRejected(t *testing.T) {
	for _, text := range []string{"nginx.service", "=x", "a=b", "U=x +", "+ U=x", "U=x + + U=y", "1U=x", "U=x or U=y"} {
		c := Config{Matches: text, MaxLineSize: defaultMaxLineSize}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "matches") {
			t.Errorf("%q: %v", text, err)
		}
	}
	c := Config{MaxLineSize: 10}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "max_line_size") {
		t.Errorf("max_line_size 10: %v", err)
	}
}

func TestTheFirstStartReadsRecentEntries(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) { c.MaxAge = time.Hour }
	now := time.Now()
	b.file(1, "old.journal").at(now.Add(-3*time.Hour), "MESSAGE=very old").write().archive("old@1.journal")
	b.file(2, "system.journal").at(now.Add(-2*time.Hour), "MESSAGE=old").at(now.Add(-30*time.Minute), "MESSAGE=young").at(now, "MESSAGE=new").write()
	b.start()
	b.wait("young", "new")
	b.end()
	// A position is continued from, however old it is.
	b.change = func(c *Config) { c.MaxAge = 0 }
	b.start()
	b.file(3, "user-1000.journal").at(now.Add(time.Millisecond), "MESSAGE=of a new file").write()
	b.wait("young", "new", "of a new file")
}

func TestLongFieldsAreCutMarkedAndCounted(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) { c.MaxLineSize = component.KiB }
	long := strings.Repeat("long ", 1000)
	b.file(1, "system.journal").entry("MESSAGE=" + long).entry("MESSAGE=short").write()
	b.start()
	b.until("both have come", func() bool { return len(b.sink.Lines()) == 2 })
	got := b.sink.Lines()[0]
	if len(got) != 1024 || !strings.HasSuffix(got, "… [cut by collector: 5000 bytes]") || !strings.HasPrefix(got, long[:900]) {
		t.Errorf("%d bytes: %q", len(got), got[max(0, len(got)-100):])
	}
	if n := logstest.ValueOf(b.source.metrics.cutLines); n != 1 {
		t.Errorf("%v lines are counted as cut", n)
	}
	b.end()
	b.change = func(c *Config) { c.MaxLineSize, c.FormatAsJSON = component.KiB, true }
	b.storage, b.sink = filepath.Join(t.TempDir(), "c"), new(logstest.Sink)
	b.start()
	b.until("both have come", func() bool { return len(b.sink.Lines()) == 2 })
	var fields map[string]string
	if err := json.Unmarshal([]byte(b.sink.Lines()[0]), &fields); err == nil && len(fields["MESSAGE"]) > 1024 {
		t.Errorf("MESSAGE has %d bytes", len(fields["MESSAGE"]))
	}
}

func TestAFullSinkHoldsThePosition(t *testing.T) {
	b := newBench(t)
	b.sink.Set(func() { b.sink.Fail = func(int) error { return errors.New("full") } })
	b.file(1, "system.journal").log("a", "b")
	b.start()
	b.until("the sink is asked", func() bool { return b.sink.Calls() > 0 })
	b.end()
	b.sink.Set(func() { b.sink.Fail = nil })
	b.start()
	b.wait("a", "b")
	b.end()
	b.start()
	b.file(2, "user-1.journal").log("c")
	b.wait("a", "b", "c")
}

func TestWhatASinkRejectsIsDroppedAndCounted(t *testing.T) {
	b := newBench(t)
	b.sink.Set(func() { b.sink.Fail = func(call int) error { return failFirst(call) } })
	j := b.file(1, "system.journal").log("a", "b")
	b.start()
	b.until("they are dropped", func() bool { return logstest.ValueOf(b.source.metrics.rejected) == 2 })
	j.log("c")
	b.wait("c")
}

func failFirst(call int) error {
	if call == 1 {
		return pipeline.Permanent(errors.New("too old"))
	}
	return nil
}

func TestSeveralMachinesAndNamespacesAreRead(t *testing.T) {
	b := newBench(t)
	b.file(1, machine, "system.journal").log("a")
	b.file(2, other, "system.journal").log("b")
	b.file(3, machine+".sandbox", "system.journal").log("c")
	b.file(4, "remote.journal").log("d")
	b.file(5, "lost+found", "system.journal").log("no machine")
	b.file(6, machine, "deep", "system.journal").log("too deep")
	b.start()
	b.wait("a", "b", "c", "d")
	b.file(7, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "system.journal").log("e")
	b.wait("a", "b", "c", "d", "e")
	b.end()
	var paths []string
	for _, tail := range b.source.LogTails() {
		paths = append(paths, strings.TrimPrefix(tail.Container, b.disk))
		if tail.State != stateReading || tail.Lines != 1 || tail.Cursor.IsZero() || tail.Labels["journal"]["job"] == "" {
			t.Errorf("the UI shows %+v", tail)
		}
	}
	slices.Sort(paths)
	if want := []string{"", "/" + machine, "/" + machine + ".sandbox", "/" + other, "/0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"}; fmt.Sprint(paths) != fmt.Sprint(slices.Sorted(slices.Values(want))) {
		t.Errorf("tails of %q", paths)
	}
}

func TestWithoutAPathThisMachinesJournalsAreRead(t *testing.T) {
	b := newBench(t)
	b.memory = t.TempDir()
	b.file(1, machine, "system.journal").log("disk")
	b.file(2, b.memory, machine, "system.journal").log("memory")
	b.file(3, other, "system.journal").log("of another machine")
	b.file(4, machine+".ns", "system.journal").log("namespace")
	b.start()
	b.wait("disk", "memory", "namespace")
	b.end()
	c := Config{MaxLineSize: defaultMaxLineSize}
	s, err := New(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []root{{"/var/log/journal", true, false}, {"/run/log/journal", true, true}}; !slices.Equal(s.roots, want) {
		t.Errorf("without a path, %v are read, want %v", s.roots, want)
	}
}

func TestMachineIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machine-id")
	if got := machineID(path); got != "" {
		t.Errorf("%q, and there is none", got)
	}
	for text, want := range map[string]string{machine + "\n": machine, "uninitialized\n": "", "": ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := machineID(path); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAJournalThatComesLaterIsRead(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) { c.Path = filepath.Join(b.disk, "log") }
	b.start()
	b.until("its absence is shown", func() bool {
		tails := b.source.LogTails()
		return len(tails) == 1 && tails[0].State == stateMissing
	})
	b.file(1, "log", machine, "system.journal").log("a")
	b.wait("a")
	if tails := b.source.LogTails(); len(tails) != 1 || tails[0].State != stateReading {
		t.Errorf("the UI shows %+v", tails)
	}
}

func TestEntriesOfOneMicrosecondKeepTheirOrder(t *testing.T) {
	b := newBench(t)
	now := time.Now().Truncate(time.Microsecond)
	b.file(1, "system.journal").at(now, "MESSAGE=a").at(now, "MESSAGE=b").at(now, "MESSAGE=c").write()
	b.start()
	b.wait("a", "b", "c")
	for i, e := range b.sink.All() {
		if want := now.Add(time.Duration(i)); !e.Time.Equal(want) {
			t.Errorf("entry %d has the time %v, want %v", i, e.Time, want)
		}
	}
}
