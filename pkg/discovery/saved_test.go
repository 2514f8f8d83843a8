package discovery

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/throttle"
)

// What is too large to be read again does not replace the last list.
func TestAListThatIsTooLargeIsNotSaved(t *testing.T) {
	var log bytes.Buffer
	s := saved{key: "k", options: component.Options{Dir: filepath.Join(t.TempDir(), "c"), Logger: slog.New(slog.NewTextHandler(&log, nil))}, quiet: new(throttle.Log)}
	s.write([]Target{labels.FromStrings("a", "1")})
	s.write(slices.Repeat([]Target{labels.FromStrings("a", strings.Repeat("x", 1<<20))}, maxTargetFile>>20))
	if got := s.load(); len(got) != 1 || got[0].Get("a") != "1" {
		t.Errorf("%d targets are loaded", len(got))
	}
	if info, err := os.Stat(filepath.Join(s.options.Dir, savedTargets)); err != nil || info.Size() > maxTargetFile {
		t.Errorf("the file: %v, %v", info, err)
	}
	if !strings.Contains(log.String(), "cannot save the targets") {
		t.Errorf("logged %q", log.String())
	}
}
