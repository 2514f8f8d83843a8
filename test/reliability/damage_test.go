//go:build integration

package reliability

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"collector/pkg/docker/dockertest"
	"collector/pkg/logs/lokitest"
	"collector/test/harness"
)

// damage is what happens to one kind of file of a collector's storage.
type damage struct {
	name    string
	files   string // pattern of the names of those that it happens to
	running bool   // whether the collector runs in the meantime; it is killed otherwise
	change  func(content []byte) []byte
	counted bool // whether the loss is visible
	quick   bool // whether it is part of the short form
}

func flip(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		for range min(n, len(b)) {
			b[rand.IntN(len(b))] ^= 1 << rand.IntN(8)
		}
		return b
	}
}

func half(b []byte) []byte { return b[:len(b)/2] }

func zeros(b []byte) []byte { return make([]byte, len(b)) }

func gone([]byte) []byte { return nil }

func damages() []damage {
	return []damage{
		{name: "a byte of each segment is flipped", files: "*.seg", change: flip(1)},
		{name: "a byte of each segment is flipped while it is in use", files: "*.seg", running: true, change: flip(1), counted: true, quick: true},
		{name: "bytes everywhere are flipped", files: "*", change: flip(100), quick: true},
		{name: "segments are cut in half", files: "*.seg", change: half, quick: true},
		{name: "segments are cut in half while they are in use", files: "*.seg", running: true, change: half},
		{name: "segments are full of zeros", files: "*.seg", change: zeros},
		{name: "segments removed", files: "*.seg", change: gone},
		{name: "segments removed while they are in use", files: "*.seg", running: true, change: gone, quick: true},
		{name: "cursors are cut in half", files: "*.cursor", change: half},
		{name: "cursors are full of zeros", files: "*.cursor", change: zeros, quick: true},
		{name: "cursors removed", files: "*.cursor", change: gone},
		{name: "all files are cut in half", files: "*", change: half},
		{name: "all files removed", files: "*", change: gone, quick: true},
	}
}

// apply damages the files of all queues. It returns how many.
func (d damage) apply(t *testing.T, storage string) (files int) {
	t.Helper()
	err := filepath.WalkDir(storage, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if match, err := filepath.Match(d.files, entry.Name()); err != nil || !match {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || len(content) == 0 {
			return err
		}
		files++
		after := d.change(bytes.Clone(content))
		switch {
		case after == nil:
			return os.Remove(path)
		case len(after) < len(content):
			return os.Truncate(path, int64(len(after)))
		}
		return overwrite(path, content, after)
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// overwrite writes the bytes that differ, so that what a running collector
// adds in the meantime stays.
func overwrite(path string, before, after []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for i := range after {
		if before[i] == after[i] {
			continue
		}
		if _, err := f.WriteAt(after[i:i+1], int64(i)); err != nil {
			return err
		}
	}
	return nil
}

// TestM3_DamagedQueuesHealThemselves damages the files of all queues, which are
// filled because the destinations are away, in every way, one after the other,
// under load.
func TestM3_DamagedQueuesHealThemselves(t *testing.T) {
	t.Parallel()
	damageAll(t, func(damage) bool { return true })
}

// TestM3_DamagedCursorsLoseNothing damages the files that record how far the queues have
// been read: what is in the queues is sent, or sent again, and not lost.
func TestM3_DamagedCursorsLoseNothing(t *testing.T) {
	t.Parallel()
	if missing := damageAll(t, func(d damage) bool { return d.files == "*.cursor" }); missing > 0 {
		t.Errorf("%d items are missing", missing)
	}
}

// damageAll damages the queues in the ways chosen, and returns how many items are
// missing in the end that were acknowledged or printed.
func damageAll(t *testing.T, chosen func(damage) bool) (lost int) {
	t.Helper()
	daemon := dockertest.New(t)
	s := startFourSignals(t, daemon.Host(), 0)
	id := daemon.Run(dockertest.Container{Name: "writer"})
	s.Collector.Start(t)
	lines := harness.StartSender(t, 5*time.Millisecond, func(seq int) error {
		daemon.Print(id, "stdout", fmt.Sprintf("line %d\n", seq))
		return nil
	})
	load := s.startLoad(t)
	for _, d := range damages() {
		if chosen(d) && (d.quick || harness.Soaking()) {
			s.damageOnce(t, d)
		}
	}
	spans, profiles, printed := load.spans.Stop(), load.profiles.Stop(), lines.Stop()
	s.awaitLine(t, fmt.Sprintf("line %d", len(printed)))
	s.drain(t)
	for _, signal := range []string{"traces", "profiles"} {
		v, _ := s.Journals[signal].Judge()
		acked := map[string][]int{"traces": spans, "profiles": profiles}[signal]
		gone := len(missing(acked, v.Arrived))
		t.Logf("%s: %d acknowledged, %d lost to the damage", signal, len(acked), gone)
		lost += gone
	}
	arrived := make(map[string]bool)
	for _, e := range s.Loki.Entries() {
		arrived[e.Line] = true
	}
	t.Logf("logs: %d lines, %d arrived", len(printed), len(arrived))
	s.Collector.Stop(t)
	return lost + len(printed) - len(arrived)
}

// awaitLine waits for the last line of a container: that a sender has ended does
// not mean that its lines have been read. As the lines of a stream are read and
// sent in order, those before it have then arrived, or are lost.
func (s *fourSignals) awaitLine(t *testing.T, last string) {
	t.Helper()
	harness.GetsOn(t, 60*time.Second, func() error {
		entries := s.Loki.Entries()
		if !slices.ContainsFunc(entries, func(e lokitest.Entry) bool { return e.Line == last }) {
			return fmt.Errorf("%q has not arrived; %d lines have", last, len(entries))
		}
		return nil
	})
}

// damageOnce lets the queues fill, damages them, and waits until what was queued is
// handled and what comes after arrives.
func (s *fourSignals) damageOnce(t *testing.T, d damage) {
	t.Helper()
	for _, p := range s.Proxies {
		p.Set(t, harness.Refuse)
	}
	harness.Eventually(t, 30*time.Second, func() error {
		for _, a := range s.Collector.Accounts(t) {
			if a.Queued < 20 {
				return fmt.Errorf("%s: so little waits: %+v", d.name, a)
			}
		}
		return nil
	})
	if !d.running {
		s.Collector.Kill()
	}
	files := d.apply(t, s.Collector.Storage)
	if files < 4 {
		t.Fatalf("%s: there were %d files only", d.name, files)
	}
	if !d.running {
		s.Collector.Start(t)
	}
	backlog := s.Collector.Backlog(t, harness.Every)
	begin := time.Now()
	for _, p := range s.Proxies {
		p.Set(t, harness.None)
	}
	counts := func() [4]int {
		return [4]int{s.Journals["logs"].Count(), s.Journals["metrics"].Count(), s.Journals["traces"].Count(), s.Journals["profiles"].Count()}
	}
	before := counts()
	harness.Eventually(t, 60*time.Second, func() error {
		for i, n := range counts() {
			if n < before[i]+3 {
				return fmt.Errorf("%s: requests by signal were %v and are %v", d.name, before, counts())
			}
		}
		return s.Collector.Past(t, backlog)
	})
	dropped, damaged := 0.0, s.Collector.Metric(t, "collector_damaged_blocks_total")
	for _, a := range s.Collector.Accounts(t) {
		dropped += a.Dropped
	}
	t.Logf("%s: %d files; drained after %s; %v items counted as dropped, %v blocks as damaged", d.name, files, time.Since(begin).Round(time.Millisecond), dropped, damaged)
	if d.counted && (dropped == 0 || damaged == 0) {
		t.Errorf("%s: %v items dropped, %v blocks damaged", d.name, dropped, damaged)
	}
}

// TestL7_ADamagedCursorFileCostsAnHourAtMost damages the file of log cursors in
// every way. The collector starts, says so, and reads again what it has to, but
// nothing older than an hour; the destination stores each line once.
func TestL7_ADamagedCursorFileCostsAnHourAtMost(t *testing.T) {
	t.Parallel()
	for _, d := range []damage{
		{name: "cut in half", change: half},
		{name: "full of zeros", change: zeros},
		{name: "empty", change: func([]byte) []byte { return []byte{} }},
		{name: "gone", change: gone},
		{name: "a byte flipped", change: flip(1)},
		{name: "bytes flipped", change: flip(200)},
		{name: "text", change: func(b []byte) []byte { return bytes.Repeat([]byte("x\n"), len(b)/2) }},
	} {
		t.Run(strings.ReplaceAll(d.name, " ", "-"), func(t *testing.T) { cursorDamage(t, d) })
	}
}

func cursorDamage(t *testing.T, d damage) {
	daemon := dockertest.New(t)
	s := startFourSignals(t, daemon.Host(), 0)
	var ids []string
	lines := make(map[string]int)
	print := func(id string, n int, age time.Duration) {
		for range n {
			lines[id]++
			daemon.Log(id, dockertest.Entry{Time: time.Now().Add(-age), Text: fmt.Sprintf("%.12s line %d\n", id, lines[id])})
		}
	}
	for n := range 5 {
		id := daemon.Run(dockertest.Container{Name: fmt.Sprintf("writer%d", n)})
		ids = append(ids, id)
		print(id, 100, 3*time.Hour)
		print(id, 10, time.Minute)
	}
	arrived := func(want int) {
		t.Helper()
		harness.GetsOn(t, 60*time.Second, func() error {
			if n := len(s.Loki.Entries()); n != want {
				return fmt.Errorf("%d of %d lines have arrived", n, want)
			}
			return nil
		})
		s.drain(t)
	}
	s.Collector.Start(t)
	arrived(5 * 110)
	s.Collector.Stop(t)
	var file string
	filepath.WalkDir(s.Collector.Storage, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Name() == "cursors" {
			file = path
		}
		return err
	})
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := d.change(bytes.Clone(content))
	if len(damaged) > 0 {
		// The previous file is of no help either.
		os.Remove(file + ".previous")
	} else {
		// A missing file is not visible damage; the previous one helps, which each start
		// writes.
		s.Collector.Start(t)
		s.Collector.Stop(t)
	}
	if damaged == nil {
		err = os.Remove(file)
	} else {
		err = os.WriteFile(file, damaged, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}

	for _, id := range ids {
		print(id, 5, 0)
	}
	s.Collector.Start(t)
	for _, id := range ids {
		print(id, 5, 0)
	}
	arrived(5 * 120)
	s.checkCursorDamage(t, file, damaged)
	t.Logf("%d lines, 0 lost, %d sent again as they were", 5*120, s.Loki.Repeated())
	s.Collector.Stop(t)
}

// checkCursorDamage checks that little was sent again, and that the damage was logged,
// counted and kept.
func (s *fourSignals) checkCursorDamage(t *testing.T, file string, damaged []byte) {
	t.Helper()
	if n := s.Loki.Repeated(); n > 5*10 {
		t.Errorf("%d lines were sent again: more than in the last hour", n)
	}
	out := s.Collector.Output()
	if len(damaged) > 0 && (!strings.Contains(out, file) || strings.Count(out, "level=error") != 1) {
		t.Errorf("the log does not say once what happened:\n%s", out)
	}
	if kept, err := os.ReadFile(file + ".damaged"); len(damaged) > 0 && (err != nil || !bytes.Equal(kept, damaged)) {
		t.Errorf("the damaged file is not kept: %v", err)
	}
	if n := s.Collector.Metric(t, "collector_log_cursor_files_damaged_total"); len(damaged) > 0 && n != 1 {
		t.Errorf("%v damaged files were counted", n)
	}
}

// flipIn flips a bit of n bytes of a segment, in the half that does not hold the last
// block: damage at the very end leaves no trace. The header stays, as it is not read
// while the segment is in use.
func flipIn(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		const header = 64
		for range n {
			b[header+rand.IntN(max(1, len(b)/2-header))] ^= 1 << rand.IntN(8)
		}
		return b
	}
}

// TestM3_WhatDamageCostsIsCountedToTheItem flips bytes of waiting blocks, while
// the collector runs and after it was killed, and compares what is missing with
// the counter.
func TestM3_WhatDamageCostsIsCountedToTheItem(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"in use": true, "after a kill": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			daemon := dockertest.New(t)
			s := startFourSignals(t, daemon.Host(), 0)
			id := daemon.Run(dockertest.Container{Name: "writer"})
			s.Collector.Start(t)
			for _, p := range s.Proxies {
				p.Set(t, harness.Refuse)
			}
			lines := harness.StartSender(t, 5*time.Millisecond, func(seq int) error {
				daemon.Print(id, "stdout", fmt.Sprintf("line %d\n", seq))
				return nil
			})
			load := s.startLoad(t)
			harness.Wait(harness.For(5*time.Second, 5*time.Minute))
			made := map[string][]int{"traces": load.spans.Stop(), "profiles": load.profiles.Stop(), "logs": lines.Stop()}
			harness.Eventually(t, 20*time.Second, func() error {
				for _, a := range s.Collector.Accounts(t) {
					if n := len(made[a.Signal]); a.Queued < float64(n) {
						return fmt.Errorf("%d were made: %+v", n, a)
					}
				}
				return nil
			})
			if !running {
				s.Collector.Kill()
			}
			damage{files: "*.seg", change: flipIn(20)}.apply(t, s.Collector.Storage)
			if !running {
				s.Collector.Start(t)
			}
			s.checkCounted(t, made, running)
			s.Collector.Stop(t)
		})
	}
}

// checkCounted lets all arrive, and compares what is missing of what was made
// with what is counted as damaged.
func (s *fourSignals) checkCounted(t *testing.T, made map[string][]int, running bool) {
	t.Helper()
	for _, p := range s.Proxies {
		p.Set(t, harness.None)
	}
	s.drain(t)
	s.Collector.Accounts(t)
	for _, signal := range []string{"logs", "traces", "profiles"} {
		arrived := make(map[string]int)
		if signal == "logs" {
			for _, e := range s.Loki.Entries() {
				arrived[strings.TrimPrefix(e.Line, "line ")]++
			}
		} else {
			v, err := s.Journals[signal].Judge()
			if err != nil {
				t.Error(err)
			}
			arrived = v.Arrived
		}
		lost := len(missing(made[signal], arrived))
		counted := s.Collector.Metric(t, "collector_dropped_items_total", "signal", signal, "reason", "damaged")
		t.Logf("%s: %d made, %d missing, %g counted as damaged", signal, len(made[signal]), lost, counted)
		if signal == "logs" && !running {
			// What the kill left unrecorded is read again, damaged or not.
			if float64(lost) > counted {
				t.Errorf("%s: %d are missing, and %g are counted", signal, lost, counted)
			}
			continue
		}
		if float64(lost) != counted || lost == 0 {
			t.Errorf("%s: %d are missing, and %g are counted", signal, lost, counted)
		}
	}
}
