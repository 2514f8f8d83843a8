package file

import (
	"os"
	"strconv"
	"testing"
)

// A source under another name neither starts again nor reads the positions of a
// Promtail a second time.
func TestARenamedSourceContinues(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "1\n2\n")
	b.write("positions.yaml", "positions:\n  "+b.path("a.log")+": \"2\"\n")
	b.change = func(c *Config) { c.LegacyPositionsFile = b.path("positions.yaml") }
	b.target("a.log")
	b.start()
	b.wait("2")
	b.stored("a.log", 4)
	b.end()
	b.append("a.log", "3\n")
	before := b.storage
	b.storage += ".renamed"
	b.left = func(f func([]string, string)) { f([]string{before}, "1") }
	b.start()
	b.wait("2", "3")
	b.stored("a.log", 6)
	if _, err := os.Lstat(before); err != nil {
		t.Error(err)
	}
}

// A source that gets its old name back continues where it was under the new one.
func TestASourceThatGetsItsOldNameBackContinues(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.stored("a.log", 2)
	b.end()
	dirs := []string{b.storage, b.storage + ".renamed"}
	want := []string{"1"}
	for i := range 6 {
		line := strconv.Itoa(i + 2)
		b.append("a.log", line+"\n")
		want = append(want, line)
		before := b.storage
		b.storage = dirs[(i+1)%2]
		b.left = func(f func([]string, string)) { f([]string{before}, line) }
		b.start()
		b.wait(want...)
		b.stored("a.log", int64(2*len(want)))
		b.end()
	}
}
