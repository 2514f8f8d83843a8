package journal

import "testing"

func TestARenamedSourceContinues(t *testing.T) {
	b := newBench(t)
	j := b.file(1, "system.journal").log("a", "b")
	b.start()
	b.wait("a", "b")
	b.end()
	j.log("c")
	before := b.storage
	b.storage += ".renamed"
	b.left = func(f func([]string, string)) { f([]string{before}, "1") }
	b.start()
	b.wait("a", "b", "c")
}
