package windowsevent

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"collector/pkg/component"
)

func TestItSaysOnceThatItDoesNothing(t *testing.T) {
	var log bytes.Buffer
	s, err := New(Config{}, component.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("it says before it runs: %s", &log)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "works on Windows only"); n != 1 {
		t.Errorf("it says so %d times: %s", n, &log)
	}
}
