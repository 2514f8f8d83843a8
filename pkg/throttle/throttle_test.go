package throttle

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEachThingIsNamedOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := new(bytes.Buffer)
		log := slog.New(slog.NewTextHandler(out, nil))
		var l Log
		fail := func(targets ...string) {
			for _, target := range targets {
				l.Warn(log, target, "scrape failed", "target", target)
			}
		}
		expect := func(want ...string) {
			t.Helper()
			for _, w := range want {
				if strings.Count(out.String(), w) != 1 {
					t.Errorf("%q is missing or repeated in\n%s", w, out)
				}
			}
			if n := strings.Count(out.String(), "\n"); n != len(want) {
				t.Errorf("%d lines, want %d:\n%s", n, len(want), out)
			}
			out.Reset()
		}
		fail("a", "b", "a", "c", "a")
		expect("target=a\n", "target=b\n", "target=c\n")
		l.Warn(log, "a", "write failed", "file", "a")
		expect(`"write failed" file=a`)
		time.Sleep(Every)
		fail("a", "b")
		expect("target=a suppressed=2", "target=b\n")
		l.Forget()
		fail("a")
		expect("target=a\n")
	})
}

// The names may come from somebody who wants to fill the log, or memory.
func TestMoreThingsThanAnybodyReadsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := new(bytes.Buffer)
		log := slog.New(slog.NewTextHandler(out, nil))
		var l Log
		fail := func() {
			for i := range 10_000 {
				l.Warn(log, fmt.Sprint(i), "scrape failed", "target", i)
			}
		}
		fail()
		if n := strings.Count(out.String(), "\n"); n != maxKeys+1 || len(l.keys) > maxKeys {
			t.Errorf("%d lines, %d things remembered", n, len(l.keys))
		}
		out.Reset()
		time.Sleep(Every)
		fail()
		if n := strings.Count(out.String(), "\n"); n != maxKeys+1 {
			t.Errorf("%d lines", n)
		}
		if want := fmt.Sprintf("suppressed=%d", 10_000-maxKeys-1); !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	})
}
