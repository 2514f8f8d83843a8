package graph

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"collector/pkg/config"
)

var update = flag.Bool("update", false, "rewrite what testdata/*.txtar want")

// TestCases loads each configuration in testdata and compares what is said of
// it, or the graph that it makes, with the sections "diagnostics" and "graph".
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Setenv("TOY_HOST", "toys.example")
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var sources []config.Source
			want := map[string]string{}
			for _, f := range archive.Files {
				if strings.HasSuffix(f.Name, ".alloy") {
					sources = append(sources, config.Source{Name: f.Name, Text: f.Data})
				} else {
					want[f.Name] = string(f.Data)
				}
			}
			got := outcome(sources)
			if *update {
				rewrite(t, name, archive, got)
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func outcome(sources []config.Source) map[string]string {
	o := Options{
		Kinds: toyKinds(), Definitions: newToys().definitions(), Version: "v1.2.3",
		LeftOut: map[string]string{"prometheus.exporter.unix": "no_exporters"},
	}.withDefaults()
	g, ds := build(o, newMetrics(""), sources, nil)
	got := map[string]string{}
	if all := append(ds.Errors(), ds.Warnings()...); len(all) > 0 {
		got["diagnostics"] = all.String()
	}
	if ds.Err() == nil {
		got["graph"] = draw(g)
	}
	return got
}

func draw(g *graph) string {
	var b strings.Builder
	for _, n := range g.nodes {
		info := g.info(n)
		fmt.Fprintf(&b, "%s (lines %d to %d)\n", n.id, info.Line, info.EndLine)
		if len(info.ReferencesTo) > 0 {
			fmt.Fprintf(&b, "  refers to: %s\n", strings.Join(info.ReferencesTo, ", "))
		}
		if len(info.FlowsTo) > 0 {
			fmt.Fprintf(&b, "  flows to: %s\n", strings.Join(info.FlowsTo, ", "))
		}
		fmt.Fprintf(&b, "  arguments: %s\n", indent(info.Arguments))
		if string(info.Exports) != "{}" {
			fmt.Fprintf(&b, "  exports: %s\n", indent(info.Exports))
		}
	}
	return b.String()
}

func indent(text json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, text, "  ", "  "); err != nil {
		return "not JSON: " + string(text)
	}
	return b.String()
}

func rewrite(t *testing.T, name string, archive *txtar.Archive, got map[string]string) {
	t.Helper()
	var files []txtar.File
	for _, f := range archive.Files {
		if strings.HasSuffix(f.Name, ".alloy") {
			files = append(files, f)
		}
	}
	for _, section := range []string{"diagnostics", "graph"} {
		if got[section] != "" {
			files = append(files, txtar.File{Name: section, Data: []byte(got[section])})
		}
	}
	archive.Files = files
	if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
