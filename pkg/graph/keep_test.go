package graph

import (
	"strings"
	"testing"
)

func TestOnlyAModuleInForceIsKept(t *testing.T) {
	inBubble(t, func(b bench) {
		kept := func(want string) {
			t.Helper()
			m := b.toys.get("import.text.m").(*toyImport)
			b.toys.mu.Lock()
			defer b.toys.mu.Unlock()
			if m.kept != want {
				t.Errorf("kept is\n%s\nwant\n%s", m.kept, want)
			}
		}
		b.load("import.text \"m\" { text = " + quoted(tailer) + " }\nm.tailer \"a\" { out = [] }\n")
		kept(tailer)
		m := b.toys.get("import.text.m").(*toyImport)
		m.set(`declare "another" { }`)
		b.settle()
		kept(tailer)
		next := strings.Replace(tailer, `"here"`, `"there"`, 1)
		m.set(next)
		b.settle()
		kept(next)
	})
}
