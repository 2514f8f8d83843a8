package discovery

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/targetgroup"

	"collector/pkg/component"
)

// put replaces a file by rename, so that no half of it is read.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func newFile(t *testing.T, o component.Options, files ...string) *File {
	t.Helper()
	var c FileConfig
	c.SetToDefault()
	c.Files = files
	f, err := NewFile(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func follow(t *testing.T, f *File) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}

// awaitTargets waits until there are targets at these addresses, in any order.
func awaitTargets(t *testing.T, s *Set, want ...string) []Target {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		targets, changed := s.Targets()
		var got []string
		for _, target := range targets {
			got = append(got, target.Get(model.AddressLabel))
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return targets
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("targets %v, want %v", got, want)
		}
	}
}

func TestTargetsFollowTheFiles(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.json"), filepath.Join(dir, "two.yml")
	put(t, one, `[{"targets": ["h1:1", "h2:2"], "labels": {"env": "dev", "empty": ""}}, {"targets": ["h3:3"]}]`)
	f := newFile(t, component.Options{}, filepath.Join(dir, "*.json"), filepath.Join(dir, "*.y*ml"), filepath.Join(dir, "one.*"))
	got := awaitTargets(t, f.out, "h1:1", "h2:2", "h3:3")
	if want := `{__address__="h1:1", __meta_filepath="` + one + `", env="dev"}`; got[0].String() != want {
		t.Errorf("target %s, want %s", got[0], want)
	}
	follow(t, f)
	put(t, two, "- targets: [h4:4]\n  labels: {n: 1}\n")
	got = awaitTargets(t, f.out, "h1:1", "h2:2", "h3:3", "h4:4")
	if got[3].Get("n") != "1" {
		t.Errorf("target %s", got[3])
	}
	put(t, one, `[{"targets": ["h5:5"]}]`)
	awaitTargets(t, f.out, "h4:4", "h5:5")
	if err := os.Remove(one); err != nil {
		t.Fatal(err)
	}
	awaitTargets(t, f.out, "h4:4")
}

func TestAFileThatCannotBeReadKeepsItsTargetsAndCostsNoOther(t *testing.T) {
	dir := t.TempDir()
	good, bad, odd := filepath.Join(dir, "a.json"), filepath.Join(dir, "b.yaml"), filepath.Join(dir, "c.txt")
	put(t, good, `[{"targets": ["h1:1"]}]`)
	put(t, bad, "- targets: [h2:2]\n")
	registry := prometheus.NewRegistry()
	f := newFile(t, component.Options{Metrics: registry}, filepath.Join(dir, "*"))
	f.look()
	if err := f.Health(); err != nil {
		t.Fatal(err)
	}
	put(t, bad, "- targets: [h3:3]\n- target: [h4:4]\n")
	put(t, good, `[{"targets": ["h5:5"]}]`)
	put(t, odd, "h6:6")
	f.look()
	awaitTargets(t, f.out, "h2:2", "h5:5")
	err := f.Health()
	if err == nil || !strings.Contains(err.Error(), "2 of 3 files") || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("health: %v", err)
	}
	var shown []string
	for _, file := range f.Status().(FileStatus).Files {
		shown = append(shown, filepath.Base(file.Path)+" "+file.Error)
	}
	if len(shown) != 3 || shown[0] != "a.json " || !strings.Contains(shown[1], "target not found") || !strings.Contains(shown[2], "end it in .json, .yml or .yaml") {
		t.Errorf("status %q", shown)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, family := range families {
		series[family.GetName()] = len(family.GetMetric())
		if n := family.GetMetric()[0].GetCounter().GetValue(); family.GetName() == "prometheus_sd_file_read_errors_total" && n != 2 {
			t.Errorf("%v errors are counted, want 2", n)
		}
	}
	want := map[string]int{
		"prometheus_sd_file_mtime_seconds": 2, "prometheus_sd_file_read_errors_total": 1,
		"prometheus_sd_file_scan_duration_seconds": 1, "prometheus_sd_file_watcher_errors_total": 1,
	}
	if d := cmp.Diff(want, series); d != "" {
		t.Error(d)
	}
	put(t, bad, "- targets: [h3:3]\n")
	if err := os.Remove(odd); err != nil {
		t.Fatal(err)
	}
	f.look()
	awaitTargets(t, f.out, "h3:3", "h5:5")
	if err := f.Health(); err != nil {
		t.Error(err)
	}
}

func TestFilesThatCannotBeListedAreRejected(t *testing.T) {
	var c FileConfig
	c.SetToDefault()
	c.Files = []string{"[a.json"}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "pattern") {
		t.Error(err)
	}
	c.SetToDefault()
	c.RefreshInterval = 0
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "positive") {
		t.Error(err)
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	f := func(extension, text, want string) {
		t.Helper()
		groups, err := parseGroups(extension, []byte(text))
		if err == nil {
			_, err = ofGroups(groups, filepathLabel, "f")
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
	f(".json", "[\n{\"targets\": [1]}]", "line 2")
	f(".json", "[\n{\"targets\": []},\n}]", "line 3")
	f(".json", "[{", "cut off")
	f(".json", "", "cut off")
	f(".json", "[]\n]", "line 1")
	f(".json", `[{"hosts": []}]`, "hosts")
	f(".json", `[null]`, "group 1 is null")
	f(".json", `[{"labels": {"": "x"}}]`, "not a valid name")
	f(".yaml", "- targets: [a]\n  port: 1\n", "line 2")
	f(".yaml", "a: b\n", "line 1")
}

// FuzzTargetFile compares JSON with what Prometheus's own reader makes of it.
func FuzzTargetFile(f *testing.F) {
	for _, text := range []string{
		`[{"targets": ["h1:1", "h2:2"], "labels": {"env": "dev"}}, {"targets": []}]`, `[null]`, `[{"Targets": ["a"], "labels": null}]`, "null", "[] []",
		"- targets: [a, b]\n  labels: {x: 1}\n", "- &a {targets: [b]}\n- *a\n", `[{"labels": {"__address__": "x", "__meta_filepath": "y"}, "targets": ["z"]}]`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if groups, err := parseGroups(".yml", []byte(text)); err == nil {
			targets, _ := ofGroups(groups, filepathLabel, "file.yml")
			for _, target := range targets {
				if target.Get(filepathLabel) != "file.yml" {
					t.Fatalf("target %s", target)
				}
			}
		}
		groups, err := parseGroups(".json", []byte(text))
		var got []Target
		if err == nil {
			got, err = ofGroups(groups, filepathLabel, "file.json")
		}
		want, wantErr := referenceTargets(text)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, want %v", err, wantErr)
		}
		if err == nil {
			if d := cmp.Diff(want, texts(got)); d != "" {
				t.Fatal(d)
			}
		}
	})
}

func texts(targets []Target) []string {
	var out []string
	for _, t := range targets {
		out = append(out, t.String())
	}
	return out
}

func referenceTargets(text string) (out []string, err error) {
	var groups []*targetgroup.Group
	if err := json.Unmarshal([]byte(text), &groups); err != nil {
		return nil, err
	}
	for _, g := range groups {
		if g == nil {
			return nil, os.ErrInvalid
		}
		for _, own := range g.Targets {
			object := map[string]any{}
			for name, value := range g.Labels {
				object[string(name)] = string(value)
			}
			object[filepathLabel] = "file.json"
			object[model.AddressLabel] = string(own[model.AddressLabel])
			targets, err := parseTargets([]any{object})
			if err != nil {
				return nil, err
			}
			out = append(out, targets[0].String())
		}
	}
	return out, nil
}

func TestFilesAreReadAgainEachRefreshInterval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	put(t, path, `[{"targets": ["a:1"]}]`)
	var c FileConfig
	c.SetToDefault()
	c.Files, c.RefreshInterval = []string{path}, time.Millisecond
	f, err := NewFile(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	follow(t, f)
	// Nothing changes, so that no event of the file system has them read.
	deadline := time.After(time.Minute)
	for {
		var m dto.Metric
		if err := f.metrics.scan.Write(&m); err != nil {
			t.Fatal(err)
		}
		if m.Summary.GetSampleCount() >= 5 {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("the files were read %d times", m.Summary.GetSampleCount())
		}
	}
}
