package echo

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

func TestEachEntryIsAMessage(t *testing.T) {
	var out bytes.Buffer
	e, err := New(Config{}, component.Options{ID: "loki.echo.e", Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	err = e.WriteLogs(t.Context(), pipeline.Logs{Streams: []pipeline.Stream{{
		Labels: labels.FromStrings("job", "a"),
		Entries: []pipeline.Entry{
			{Time: time.Unix(1, 2).UTC(), Line: "x"},
			{Time: time.Unix(3, 0).UTC(), Line: "y z", Metadata: labels.FromStrings("m", "1")},
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d messages: %s", len(lines), out.String())
	}
	for i, want := range []string{
		`receiver=loki.echo.e entry=x entry_timestamp=1970-01-01T00:00:01.000Z labels="{job=\"a\"}" structured_metadata={}`,
		`entry="y z" entry_timestamp=1970-01-01T00:00:03.000Z labels="{job=\"a\"}" structured_metadata="{\"m\":\"1\"}"`,
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("%s\nwant %s", lines[i], want)
		}
	}
	if s := e.Status().(Status); s.Entries != 2 {
		t.Errorf("%d entries are counted", s.Entries)
	}
}
