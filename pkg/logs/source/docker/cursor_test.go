package docker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"collector/pkg/durable"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"collector/pkg/docker"
)

func testMetrics(t testing.TB) *metrics {
	t.Helper()
	zero := func() float64 { return 0 }
	m := newMetrics(prometheus.NewRegistry(), zero, zero)
	return m
}

func openTestStore(t testing.TB, dir string, log *bytes.Buffer) *cursorStore {
	t.Helper()
	s, err := openCursorStore(dir, "", nil, slog.New(slog.NewTextHandler(log, nil)), testMetrics(t), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// die does what the end of the process does: nothing is closed or synced, and
// its lock is free.
func die(s *cursorStore) { s.lock.Close() }

func someCursor(n int64) cursor {
	return cursor{{Time: 1_700_000_000_000_000_000 + n, Lines: n, Out: n}, {Time: 5, Lines: 2, Out: 7}}
}

func TestCursorsSurviveTheDeathOfTheProcess(t *testing.T) {
	dir, log := t.TempDir(), &bytes.Buffer{}
	s := openTestStore(t, dir, log)
	for i := range int64(10) {
		s.put("a", someCursor(i))
		s.put("b", someCursor(100+i))
	}
	die(s)
	again := openTestStore(t, dir, log)
	for id, want := range map[string]cursor{"a": someCursor(9), "b": someCursor(109), "c": {}} {
		if d := cmp.Diff(want, again.lookup(id)); d != "" {
			t.Errorf("cursor of %s (-want +got):\n%s", id, d)
		}
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log)
	}
}

func TestCursorFileStaysSmall(t *testing.T) {
	dir, log := t.TempDir(), &bytes.Buffer{}
	s := openTestStore(t, dir, log)
	for i := range int64(20_000) {
		s.put("container", someCursor(i))
	}
	if s.size > 2*compactAbove {
		t.Errorf("the file has %d bytes for one container", s.size)
	}
	die(s)
	if got := openTestStore(t, dir, log).lookup("container"); got != someCursor(19_999) {
		t.Errorf("the cursor is %v", got)
	}
}

func TestDamagedCursorFileCostsWhatIsDamaged(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"zeros":     func(b []byte) []byte { return make([]byte, len(b)) },
		"empty":     func(b []byte) []byte { return nil },
		"truncated": func(b []byte) []byte { return b[:len(b)-5] },
		"a bit":     func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"text":      func(b []byte) []byte { return []byte("no cursors\nhere") },
	} {
		t.Run(name, func(t *testing.T) {
			dir, log := t.TempDir(), &bytes.Buffer{}
			s := openTestStore(t, dir, log)
			s.put("a", someCursor(1))
			s.close()
			s = openTestStore(t, dir, log) // a is in the previous file now
			for i := range 5 {
				s.put(fmt.Sprint("later", i), someCursor(2))
			}
			s.close()
			path := filepath.Join(dir, cursorFile)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			s = openTestStore(t, dir, log)
			if name != "empty" && (strings.Count(log.String(), "level=ERROR") != 1 || !strings.Contains(log.String(), path)) {
				t.Errorf("want one error that names the file, got %s", log)
			}
			if s.lookup("a") != someCursor(1) {
				t.Error("the cursor of the previous file is lost")
			}
			unknown := s.lookup("unknown")
			if from := unknown.since(); name != "empty" && time.Since(from) > 2*rereadWindow {
				t.Errorf("an unknown container is read from %v", from)
			}
		})
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	line := appendCursorLine(nil, "container", cursorEntry{cursor: someCursor(3)})
	for i := range line {
		for bit := range 8 {
			damaged := bytes.Clone(line)
			damaged[i] ^= 1 << bit
			if lines, _ := parseCursors(damaged); len(lines) > 0 {
				t.Fatalf("%q was read as %v", damaged, lines)
			}
		}
	}
}

func TestCursorsAreKeptInMemoryWhileTheDiskIsFull(t *testing.T) {
	dir, log := filepath.Join(t.TempDir(), "gone"), &bytes.Buffer{}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the directory should be
		t.Fatal(err)
	}
	s := openTestStore(t, dir, log)
	for i := range int64(100) {
		s.put("a", someCursor(i))
	}
	s.sync()
	if n := strings.Count(log.String(), "are not stored"); n != 1 {
		t.Errorf("%d errors are logged, want 1: %s", n, log)
	}
	if s.lookup("a") != someCursor(99) {
		t.Error("the cursor is lost")
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	s.sync()
	die(s)
	if got := openTestStore(t, dir, log).lookup("a"); got != someCursor(99) {
		t.Errorf("after the disk came back, the cursor is %v", got)
	}
}

func TestHalfAWrittenLineCostsNoOther(t *testing.T) {
	dir, log := t.TempDir(), &bytes.Buffer{}
	s := openTestStore(t, dir, log)
	s.put("a", someCursor(1))
	if _, err := s.file.WriteString("1 b 0 17"); err != nil { // the disk was full
		t.Fatal(err)
	}
	s.torn = true
	s.put("c", someCursor(2))
	die(s)
	again := openTestStore(t, dir, log)
	if again.lookup("a") != someCursor(1) || again.lookup("c") != someCursor(2) {
		t.Error("a good line was lost")
	}
}

func TestUnreadablePositionsAreReported(t *testing.T) {
	dir, log := t.TempDir(), &bytes.Buffer{}
	if err := os.WriteFile(filepath.Join(dir, positionsFile), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	openTestStore(t, dir, log)
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors, want 1: %s", n, log)
	}
}

func TestCursorFileIsPrivate(t *testing.T) {
	dir, log := t.TempDir(), &bytes.Buffer{}
	openTestStore(t, dir, log)
	var stat syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, cursorFile), &stat); err != nil || stat.Mode&0o077 != 0 {
		t.Errorf("mode %o, error %v", stat.Mode, err)
	}
}

// logLine is a line as the Engine has it.
type logLine struct {
	stream int
	ns     int64
}

// readSome is one connection of which n new lines are taken; it moves c. The
// Engine sends everything from the first line on that is not older than since;
// an old one omits what is older of the rest, too.
func readSome(log []logLine, c *cursor, n int, old bool) (taken []int) {
	from := *c
	p := newPump(from, 1<<20)
	begun := false
	for i, l := range log {
		recent := !time.Unix(0, l.ns).Before(from.since())
		if begun = begun || recent; !begun || old && !recent {
			continue
		}
		_, _, ok := p.take(docker.Frame{Time: time.Unix(0, l.ns), Stream: streamName(l.stream), Text: []byte("x")})
		if !ok {
			continue
		}
		if len(taken) == n {
			return taken
		}
		taken = append(taken, i)
		c[l.stream].advance(l.ns)
	}
	return taken
}

func readInThree(t *testing.T, log []logLine, first, second int, old bool) (got []int) {
	var c cursor
	for _, n := range []int{first, second, len(log)} {
		got = append(got, readSome(log, &c, n, old)...)
	}
	seen := make(map[int]bool)
	for _, i := range got {
		if seen[i] {
			t.Fatalf("line %d was repeated: %v of %v", i, got, log)
		}
		seen[i] = true
	}
	return got
}

// Whoever stops anywhere and resumes gets each line once, although the streams
// are written with some delay each.
func FuzzResume(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 2, 2, 2, 9}, uint8(3), uint8(5), false)
	f.Add([]byte{255, 0, 255, 255, 254, 1, 4, 0, 0, 1}, uint8(1), uint8(9), true)
	f.Add([]byte{2, 255, 2}, uint8(1), uint8(0), true)
	f.Fuzz(func(t *testing.T, steps []byte, first, second uint8, old bool) {
		var log []logLine
		var last [streamCount]int64
		now := int64(1e18)
		for _, s := range steps {
			stream := int(s & 1)
			now += int64(s>>1&7) * int64(time.Millisecond)
			delay := int64(s>>4) * int64(interleave) / 16
			last[stream] = max(last[stream], now-delay)
			log = append(log, logLine{stream, last[stream]})
		}
		if got := readInThree(t, log, int(first), int(second), old); len(got) != len(log) {
			t.Fatalf("got %v of %d lines: %v", got, len(log), log)
		}
	})
}

// A clock that is set back may cost lines that are written while nobody reads,
// since the Engine is asked by time; but it repeats none.
func FuzzResumeWithAnyClock(f *testing.F) {
	f.Add([]byte{5, 0, 0, 255, 254, 0, 0, 0, 0, 1}, uint8(1), uint8(9), false)
	f.Fuzz(func(t *testing.T, steps []byte, first, second uint8, old bool) {
		var log []logLine
		now := int64(1e18)
		for _, s := range steps {
			now += int64(int8(s&^1)) * int64(time.Second)
			log = append(log, logLine{int(s & 1), now})
		}
		readInThree(t, log, int(first), int(second), old)
	})
}

// Entries of one stream never have equal times, and move no further than they
// must.
func FuzzOutputTimes(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 250, 3})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var p position
		now, last := int64(1e18), int64(0)
		for i, s := range steps {
			now += int64(s % 4)
			got := p.output(now)
			if i > 0 && got <= last {
				t.Fatalf("time %d follows %d", got, last)
			}
			if got != now && got != last+1 {
				t.Fatalf("%d became %d after %d", now, got, last)
			}
			last = got
		}
	})
}

func FuzzParseCursors(f *testing.F) {
	good := appendCursorLine(nil, "a", cursorEntry{cursor: someCursor(1)})
	f.Add(good)
	f.Add(append(bytes.Clone(good), "1 b 0 1\n\x00\x00\n"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, bad := parseCursors(data)
		if n := bytes.Count(data, []byte("\n")) + 1; len(lines)+bad > n {
			t.Fatalf("%d good and %d bad lines of %d", len(lines), bad, n)
		}
		var out []byte
		for _, l := range lines {
			out = appendCursorLine(out, l.id, l.cursorEntry)
		}
		again, bad := parseCursors(out)
		if bad != 0 || !cmp.Equal(lines, again, cmp.AllowUnexported(cursorLine{}, cursorEntry{})) {
			t.Fatalf("%v became %v", lines, again)
		}
		// Good lines are found wherever the damage is.
		damaged := append(append(bytes.Clone(data), '\n'), good...)
		if found, _ := parseCursors(damaged); len(found) == 0 || found[len(found)-1].id != "a" {
			t.Fatal("a good line after damage was not found")
		}
	})
}

func FuzzParsePositions(f *testing.F) {
	f.Add("positions:\n  ? path: cursor-abc\n    labels: '{}'\n  : \"1700000003\"\n")
	f.Add("positions:\n  cursor-abc: \"17\"\n")
	f.Add("positions: {}\n")
	f.Add("\x00\x00")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parsePositions([]byte(text))
		if err != nil {
			return
		}
		type key struct{ Path, Labels string }
		file := map[string]map[key]string{"positions": {}}
		for id, seconds := range got {
			if seconds <= 0 {
				t.Fatalf("%q is at %d s", id, seconds)
			}
			file["positions"][key{cursorPrefix + id, "{}"}] = fmt.Sprint(seconds)
		}
		data, err := yaml.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parsePositions(data)
		if err != nil || !cmp.Equal(got, again) {
			t.Fatalf("%v became %v, error %v; of %s", got, again, err, data)
		}
	})
}

// A line in any pieces is the line, cut at the limit or not.
func FuzzJoin(f *testing.F) {
	f.Add("hello world", uint16(3), uint16(1024), uint64(1))
	for extra := range uint16(9) { // so that some cut falls into a character
		f.Add(strings.Repeat("ä€😀", 700), uint16(7), extra, uint64(2))
	}
	f.Add("bad\xff\xfe\x00", uint16(2), uint16(5), uint64(3))
	f.Fuzz(func(t *testing.T, text string, piece, extra uint16, seed uint64) {
		limit := int(minMaxLineSize) + int(extra)
		random := rand.New(rand.NewPCG(seed, 1))
		j := joiner{limit: limit}
		rest, line, done := text, rawLine{}, false
		for n := 0; !done; n++ {
			size := min(len(rest), 1+random.IntN(int(piece)+1))
			frame := docker.Frame{Time: time.Unix(0, int64(n)), Text: []byte(rest[:size]), Partial: size < len(rest)}
			rest = rest[size:]
			line, done = j.add(frame)
			if len(j.buf) > limit {
				t.Fatalf("%d bytes are held", len(j.buf))
			}
		}
		if line.size != len(text) || line.time != 0 || string(line.text) != text[:min(limit, len(text))] {
			t.Fatalf("joined to %d bytes, time %d", line.size, line.time)
		}
		got, replaced, cut := appendLine(nil, line, limit)
		valid := strings.ToValidUTF8(text, "\uFFFD")
		switch {
		case !utf8.Valid(got):
			t.Fatalf("%q is not UTF-8", got)
		case len(got) > limit:
			t.Fatalf("%d bytes, the limit is %d", len(got), limit)
		case len(text) <= limit && len(valid) <= limit && (cut || string(got) != valid || replaced != (valid != text)):
			t.Fatalf("%q became %q, cut %v, replaced %v", text, got, cut, replaced)
		case len(text) > limit && !cut:
			t.Fatal("not cut")
		case utf8.ValidString(text) && replaced:
			t.Fatal("nothing had to be replaced")
		case cut:
			marker := fmt.Sprintf("… [cut by collector: %d bytes]", len(text))
			kept, ok := strings.CutSuffix(string(got), marker)
			if !ok || !strings.HasPrefix(valid, kept) || len(got) < limit-utf8.UTFMax+1 && len(valid) >= limit+utf8.UTFMax {
				t.Fatalf("cut to %q", got)
			}
		}
	})
}

// TestCursorsAreLockedLikeAQueue opens the cursors of another process, which
// would overwrite each other's.
func TestCursorsAreLockedLikeAQueue(t *testing.T) {
	dir, log := t.TempDir(), &bytes.Buffer{}
	s := openTestStore(t, dir, log)
	s.put("a", someCursor(1))
	if _, err := openCursorStore(dir, "", nil, slog.New(slog.DiscardHandler), testMetrics(t), time.Now); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	s.close()
	again := openTestStore(t, dir, log)
	defer again.close()
	if again.lookup("a") != someCursor(1) {
		t.Error("the cursor is lost")
	}
}

// TestCursorFilesAreTheCollectorsAlone has links where the files are, and looks at
// the modes of what is made.
func TestCursorFilesAreTheCollectorsAlone(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	for _, name := range []string{durable.LockName, cursorFile + ".new"} {
		dir := t.TempDir()
		if err := errors.Join(os.WriteFile(victim, []byte("untouched"), 0o644), os.Symlink(victim, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
		if s, err := openCursorStore(dir, "", nil, slog.New(slog.DiscardHandler), testMetrics(t), time.Now); err == nil {
			s.put("a", someCursor(1))
			s.close()
		}
		if content, _ := os.ReadFile(victim); string(content) != "untouched" {
			t.Errorf("%s: what a link led to is %q now", name, content)
		}
	}
	dir := filepath.Join(t.TempDir(), "loki.source.docker.default")
	s := openTestStore(t, dir, &bytes.Buffer{})
	s.put("a", someCursor(1))
	s.close()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), info, err)
		}
	}
}

func TestARenamedSourceContinues(t *testing.T) {
	root := t.TempDir()
	before, log := filepath.Join(root, "before"), &bytes.Buffer{}
	s := openTestStore(t, before, log)
	s.put("a", someCursor(1))
	s.close()
	left := func(f func([]string, string)) { f([]string{before}, "1") }
	legacy := filepath.Join(root, "positions.yaml")
	if err := os.WriteFile(legacy, []byte("positions:\n  cursor-a: \"5\"\n  cursor-b: \"6\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := openCursorStore(filepath.Join(root, "renamed"), legacy, left, slog.New(slog.DiscardHandler), testMetrics(t), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	for id, want := range map[string]cursor{"a": someCursor(1), "b": cursorAt(6 * int64(time.Second))} {
		if d := cmp.Diff(want, again.lookup(id)); d != "" {
			t.Errorf("%s: %s", id, d)
		}
	}
}

// A source that gets its old name back continues where it was under the new one.
func TestASourceThatGetsItsOldNameBackContinues(t *testing.T) {
	root := t.TempDir()
	dirs := []string{filepath.Join(root, "a"), filepath.Join(root, "b")}
	s := openTestStore(t, dirs[0], &bytes.Buffer{})
	s.put("read", someCursor(1))
	s.put("quiet", someCursor(100))
	s.close()
	for i := range 5 {
		left := func(f func([]string, string)) { f([]string{dirs[i%2]}, strconv.Itoa(i)) }
		s, err := openCursorStore(dirs[(i+1)%2], "", left, slog.New(slog.DiscardHandler), testMetrics(t), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]cursor{"read": someCursor(int64(i) + 1), "quiet": someCursor(100)} {
			if d := cmp.Diff(want, s.lookup(id)); d != "" {
				t.Errorf("renamed %d times: %s: %s", i+1, id, d)
			}
		}
		s.put("read", someCursor(int64(i)+2))
		s.close()
	}
}
