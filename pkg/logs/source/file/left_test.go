package file

import (
	"os"
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
