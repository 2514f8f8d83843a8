package promtail

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/graph"
	"collector/pkg/local"
	"collector/pkg/logging"
	"collector/pkg/logs"
	"collector/pkg/pipeline"
)

var update = flag.Bool("update", false, "rewrite what testdata/*.txtar want")

// fromEnv is an environment of lines such as NAME=value.
func fromEnv(lines string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for line := range strings.Lines(lines) {
			if value, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

// TestCases converts each file in testdata, with the flags in its section "flags",
// and compares the configuration and what is said about it.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sections := map[string]string{}
			for _, f := range archive.Files {
				sections[f.Name] = string(f.Data)
			}
			o := optionsOf(t, sections)
			result, ds := Convert(config.Source{Name: "promtail.yaml", Text: []byte(sections["promtail.yaml"])}, o)
			got := map[string]string{"notes": ds.String()}
			if result != nil {
				got["config.alloy"] = string(result.Config.Text)
				loads(t, result, fromEnv(sections["env"]))
			}
			if *update {
				rewrite(t, name, archive, got)
				return
			}
			for _, section := range []string{"config.alloy", "notes"} {
				if diff := cmp.Diff(sections[section], got[section]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", section, diff)
				}
			}
		})
	}
}

func optionsOf(t *testing.T, sections map[string]string) Options {
	t.Helper()
	words := strings.Fields(sections["flags"])
	own := func(word string) bool { return !strings.HasPrefix(word, "-") }
	flags, err := ParseFlags(slices.DeleteFunc(slices.Clone(words), own), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	o := flags.Options
	o.Lenient = slices.Contains(words, "lenient")
	o.KeepVariables = slices.Contains(words, "keep")
	o.Getenv = fromEnv(sections["env"])
	return o
}

func rewrite(t *testing.T, name string, archive *txtar.Archive, got map[string]string) {
	t.Helper()
	archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "config.alloy" || f.Name == "notes" })
	for _, section := range []string{"config.alloy", "notes"} {
		if got[section] != "" {
			archive.Files = append(archive.Files, txtar.File{Name: section, Data: []byte(got[section])})
		}
	}
	if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func definitions() []component.Definition {
	return slices.Concat(logging.Components(logging.New(&bytes.Buffer{})), local.Components(), discovery.Components(), logs.Components())
}

// loads checks that the configuration is in the canonical layout, and that it loads.
func loads(t *testing.T, r *Result, getenv func(string) (string, bool)) {
	t.Helper()
	doc, ds := config.Parse([]config.Source{r.Config})
	if err := ds.Err(); err != nil {
		t.Fatalf("%v\n%s", err, r.Config.Text)
	}
	if r.origins == nil {
		t.Errorf("the layout is not the canonical one:\n%s", r.Config.Text)
	}
	for _, b := range doc.Blocks {
		if b.Name == "http" { // the program's own, with files of certificates
			return
		}
	}
	for _, name := range []string{"LOKI_HOST", "TOKEN", "HOST"} {
		value, _ := getenv(name)
		t.Setenv(name, value)
	}
	o := graph.Options{Definitions: definitions(), Kinds: slices.Concat(pipeline.Kinds(), discovery.Kinds()), StoragePath: t.TempDir()}
	if err := graph.Check(o, r.Sources()).Err(); err != nil {
		t.Errorf("it does not load: %v\n%s", err, r.Config.Text)
	}
}
