package logging

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestTheLastLinesAreKept(t *testing.T) {
	l := New(io.Discard)
	if got := l.Recent(); len(got) != 0 {
		t.Errorf("%d lines", len(got))
	}
	for i := range kept + 7 {
		l.Logger().Info("line", "n", i)
		if i == 3 {
			if got := l.Recent(); len(got) != 4 || !strings.HasSuffix(got[0], "n=0") {
				t.Errorf("%v", got)
			}
		}
	}
	got := l.Recent()
	if len(got) != kept || !strings.HasSuffix(got[0], "n=7") || !strings.HasSuffix(got[kept-1], fmt.Sprintf("n=%d", kept+6)) {
		t.Errorf("%d lines, from %s to %s", len(got), got[0], got[len(got)-1])
	}
	l.Logger().Info(strings.Repeat("x", 2*longest))
	if got := l.Recent(); len(got[kept-1]) > longest+10 {
		t.Errorf("%d bytes", len(got[kept-1]))
	}
}
