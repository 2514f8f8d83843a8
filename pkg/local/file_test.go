package local

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/filewatch"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// running makes and runs a local.file; changed gets one for each change.
func running(t *testing.T, c FileConfig) (f *File, changed <-chan struct{}, registry *prometheus.Registry) {
	t.Helper()
	told := make(chan struct{}, 10)
	registry = prometheus.NewRegistry()
	f, err := NewFile(c, component.Options{Changed: func() { told <- struct{}{} }, Metrics: registry})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return f, told, registry
}

func config(path string) FileConfig {
	var c FileConfig
	c.SetToDefault()
	c.Filename = path
	return c
}

func TestTheContentFollowsTheFile(t *testing.T) {
	for _, detector := range []filewatch.Detector{filewatch.Notify, filewatch.Poll} {
		t.Run(string(detector), func(t *testing.T) {
			c := config(filepath.Join(t.TempDir(), "f"))
			c.Detector = detector
			if detector == filewatch.Poll {
				c.PollFrequency = time.Millisecond
			}
			write(t, c.Filename, "one\n")
			f, changed, registry := running(t, c)
			if got := f.Exports()["content"]; got != "one\n" {
				t.Errorf("the content is %q", got)
			}
			write(t, c.Filename+".new", "two")
			if err := os.Rename(c.Filename+".new", c.Filename); err != nil {
				t.Fatal(err)
			}
			<-changed
			if got := f.Exports()["content"]; got != "two" {
				t.Errorf("the content is %q", got)
			}
			families, err := registry.Gather()
			if err != nil || len(families) != 1 || families[0].GetName() != "local_file_timestamp_last_accessed_unix_seconds" {
				t.Errorf("metrics are %v, %v", families, err)
			}
		})
	}
}

func TestAFileThatDisappearsKeepsItsContentAndIsUnhealthy(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "f"))
	c.PollFrequency = time.Millisecond
	write(t, c.Filename, "one")
	f, changed, _ := running(t, c)
	if err := os.Remove(c.Filename); err != nil {
		t.Fatal(err)
	}
	for f.Health() == nil {
		f.look()
	}
	if got := f.Exports()["content"]; got != "one" {
		t.Errorf("the content is %q", got)
	}
	write(t, c.Filename, "two")
	<-changed
	for f.Health() != nil {
		f.look()
	}
}

func TestASecretFileIsASecret(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "f"))
	c.IsSecret = true
	write(t, c.Filename, "pw")
	f, err := NewFile(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Exports()["content"]; got != component.Secret("pw") {
		t.Errorf("the content is %T", got)
	}
}

func TestAFileThatIsMissingOrTooLargeIsRejected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if _, err := NewFile(config(path), component.Options{}); err == nil || !component.Lacks(err) || !strings.Contains(err.Error(), "filename") {
		t.Errorf("%v", err)
	}
	write(t, path, strings.Repeat("x", maxContent+1))
	if _, err := NewFile(config(path), component.Options{}); err == nil || component.Lacks(err) {
		t.Errorf("%v", err)
	}
	c := config(path)
	c.PollFrequency = 0
	if err := c.Validate(); err == nil {
		t.Error("a poll frequency of 0 is accepted")
	}
}
