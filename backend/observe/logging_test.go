package observe

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLineStartsWithTimeLevelMessageAndIDs(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, slog.LevelInfo).With("component", "test")
	log.WarnContext(withRequestID(t.Context(), "r1"), "two words", "error", errors.New(`a "b"`), "n", 1)
	_, line, _ := strings.Cut(out.String(), " ")
	want := `level=warn message="two words" component=test request_id=r1 error="a \"b\"" n=1` + "\n"
	if diff := cmp.Diff(want, line); diff != "" {
		t.Error(diff)
	}
}

func TestLinesBelowTheLevelAreOmitted(t *testing.T) {
	var out bytes.Buffer
	NewLogger(&out, slog.LevelWarn).Info("no")
	if out.Len() != 0 {
		t.Errorf("logged %q", out.String())
	}
}

func TestLongValuesAreCut(t *testing.T) {
	var out bytes.Buffer
	NewLogger(&out, slog.LevelInfo).Info("x", "value", strings.Repeat("a", 1<<20))
	if out.Len() > 5<<10 {
		t.Errorf("line of %d bytes", out.Len())
	}
}

// FuzzLine: whatever is logged is one line, which a strict reader understands,
// and text that needs no fixing comes back as it was.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{"", "plain", "two words", `"`, `\`, "a=b", "é\u00a0\u2028", "\x00\a\v\x7f", "\xff", "\n\r\t", "\U000e0001", "\U0001f600", "\ufffd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var out bytes.Buffer
		NewLogger(&out, slog.LevelInfo).Info(value, "value", value, "after", "end")
		line, isLine := strings.CutSuffix(out.String(), "\n")
		if !isLine || strings.ContainsAny(line, "\n\r") {
			t.Fatalf("not one line: %q", out.String())
		}
		fields, err := parseLogfmt(line)
		if err != nil {
			t.Fatal(err)
		}
		want := readable(value)
		if fields["value"] != want || fields["message"] != want || fields["after"] != "end" {
			t.Errorf("%q was read as %q, want %q", line, fields, want)
		}
	})
}

func TestReadableTextIsNotChanged(t *testing.T) {
	for _, text := range []string{"", "plain", "é\u00a0\u2028", "a\n\tb", "\U0001f600", `"\`} {
		if got := readable(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestRepeatedFailuresAreLoggedOncePerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		failures := throttle{log: NewLogger(&out, slog.LevelInfo), message: "not delivered"}
		for range 90 {
			failures.failed("refused")
			wait(t.Context(), time.Second)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 2 || !strings.HasSuffix(lines[0], "omitted=0") || !strings.HasSuffix(lines[1], "omitted=59") {
			t.Errorf("logged:\n%s", out.String())
		}
	})
}

func wait(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}
