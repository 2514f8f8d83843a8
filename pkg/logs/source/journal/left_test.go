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

// A source that gets its old name back continues where it was under the new one.
func TestASourceThatGetsItsOldNameBackContinues(t *testing.T) {
	b := newBench(t)
	j := b.file(1, "system.journal").log("a")
	b.start()
	b.wait("a")
	b.end()
	dirs := []string{b.storage, b.storage + ".renamed"}
	want := []string{"a"}
	for i, message := range []string{"b", "c", "d", "e"} {
		j.log(message)
		want = append(want, message)
		before := b.storage
		b.storage = dirs[(i+1)%2]
		b.left = func(f func([]string, string)) { f([]string{before}, message) }
		b.start()
		b.wait(want...)
		b.end()
	}
}
