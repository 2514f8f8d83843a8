package docker

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"collector/pkg/docker"
	"collector/pkg/docker/dockertest"
	"collector/pkg/logs/logstest"
)

// readWindow is readSome on a connection that begins w messages before the end
// of the log, as long as that is enough.
func readWindow(log []logLine, c *cursor, n, w int) (taken []int) {
	first := max(0, len(log)-w)
	p, fits := newPump(*c, 1<<20), first
	for c.findable() && fits < len(log) && p.fits(docker.Frame{Stream: streamName(log[fits].stream), Time: time.Unix(0, log[fits].ns)}) {
		fits++
	}
	for _, i := range readSome(log[first:fits], c, n, false) {
		taken = append(taken, first+i)
	}
	if fits < len(log) || fits == first {
		taken = append(taken, readSome(log, c, n-len(taken), false)...)
	}
	return taken
}

// Whoever resumes near the end of the log gets each line once, whatever the
// size of the window.
func FuzzResumeInWindow(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 2, 2, 2, 9}, uint8(3), uint8(5), uint8(4))
	f.Add([]byte{16, 1, 33, 2, 255, 2, 49, 9, 2, 4, 6, 8}, uint8(6), uint8(3), uint8(7))
	f.Fuzz(func(t *testing.T, steps []byte, first, second, window uint8) {
		var log []logLine
		var last [streamCount]int64
		now := int64(1e18)
		for _, s := range steps {
			stream := int(s & 1)
			now += int64(s>>1&7) * int64(time.Millisecond)
			last[stream] = max(last[stream], now-int64(s>>4)*int64(interleave)/16)
			log = append(log, logLine{stream, last[stream]})
		}
		var c cursor
		seen := make(map[int]int)
		for _, step := range []struct{ written, taken int }{
			{int(first), int(second)}, {int(first) + int(second), int(first)}, {len(log), 1}, {len(log), len(log)},
		} {
			for _, i := range readWindow(log[:min(step.written, len(log))], &c, step.taken, int(window)) {
				seen[i]++
			}
		}
		for i := range log {
			if seen[i] != 1 {
				t.Fatalf("line %d was read %d times: window %d of %v", i, seen[i], window, log)
			}
		}
	})
}

// A reconnect reads the end of the log, and all of it from the cursor on only
// when more was written in the meantime.
func TestReconnectReadsTheEndOfTheLog(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		n := 0
		print := func(lines int) {
			for range lines {
				b.daemon.Print(id, "stdout", fmt.Sprintf("line %d\n", n))
				n++
				b.settle(time.Millisecond)
			}
		}
		print(2000)
		b.settle(time.Second)
		tails := func() (out []string) {
			for _, r := range b.daemon.Requests() {
				if r.Path == "/containers/"+id+"/logs" {
					out = append(out, r.Query.Get("tail"))
				}
			}
			return out
		}
		b.daemon.CutConnections()
		b.settle(time.Second)
		if got := fmt.Sprint(tails()); got != "[all 500]" {
			t.Errorf("asked for %s", got)
		}
		b.stop()
		print(window + 1)
		b.start()
		b.settle(time.Second)
		if got := fmt.Sprint(tails()); got != "[all 500 500 all]" {
			t.Errorf("asked for %s", got)
		}
		b.wantLines(logstest.Numbered(0, n)...)
	})
}

// Lines that an Engine with a single log file repeats make no entry; other lines with an
// old time do.
func TestLinesThatTheEngineRepeatsAreSkipped(t *testing.T) {
	var r recent
	base := time.Now().UnixNano()
	take := func(ms int, text string) bool {
		return !r.repeated(rawLine{time: base + int64(ms)*int64(time.Millisecond), text: []byte(text)})
	}
	for i := range 10 {
		if !take(i, "a") {
			t.Errorf("line %d is taken for a repetition", i)
		}
	}
	for i := 4; i < 10; i++ {
		if take(i, "a") {
			t.Errorf("line %d was repeated", i)
		}
	}
	for _, l := range []struct {
		ms   int
		text string
	}{{9, "b"}, {10, "a"}, {-5000, "the clock was set back"}, {-4999, "a"}} {
		if !take(l.ms, l.text) {
			t.Errorf("%v is taken for a repetition", l)
		}
	}
	for i := range 3 * recentLines {
		take(1000+i, "many")
	}
	if n := len(r.lines); n != recentLines {
		t.Errorf("%d lines are remembered", n)
	}
	if take(1000+3*recentLines-1, "many") || !take(1e6, "later") || len(r.lines) != 1 {
		t.Errorf("%d lines are remembered after a pause", len(r.lines))
	}
}

// After a clean stop, either of the two files is enough.
func TestLostCursorFileCostsNothingAfterAStop(t *testing.T) {
	for _, damage := range []func(path string) error{
		os.Remove,
		func(path string) error { return os.WriteFile(path, make([]byte, 100), 0o600) },
	} {
		dir := t.TempDir()
		open := func() *cursorStore {
			return openTestStore(t, dir, new(bytes.Buffer))
		}
		for round := range int64(3) {
			want := cursorAt(1e18 + round)
			s := open()
			s.put("a", want)
			s.close()
			if err := damage(filepath.Join(dir, cursorFile)); err != nil {
				t.Fatal(err)
			}
			s = open()
			if got := s.lookup("a"); got != want {
				t.Errorf("round %d: got %v, want %v", round, got, want)
			}
			s.close()
		}
	}
}
