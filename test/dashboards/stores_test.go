//go:build integration

package dashboards

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"collector/test/harness"
)

// TestParsersOfTheStores parses the queries as Prometheus and Loki do.
func TestParsersOfTheStores(t *testing.T) {
	tool := buildParsers(t)
	for language, queries := range map[string]map[string]string{"promql": allPromQL(t), "logql": allLogQL(t)} {
		if len(queries) < 3 {
			t.Errorf("%s: only %d queries", language, len(queries))
		}
		texts := make([]string, 0, len(queries))
		for text := range queries {
			texts = append(texts, text)
		}
		for i, problem := range parse(t, tool, language, texts) {
			if problem != "" {
				t.Errorf("%s: %s\n%s", queries[texts[i]], problem, texts[i])
			}
		}
	}
	for language, mistakes := range map[string][]string{
		"promql": {"", "sum(", "unheard_of(x)", "rate(x)"},
		"logql":  {"", "{}", `{a=~".*"}`, `rate({a="b"})`, `{a="b"} | logfmt | trace_id == `},
	} {
		for i, problem := range parse(t, tool, language, mistakes) {
			if problem == "" {
				t.Errorf("%s: no mistake was found in %q", language, mistakes[i])
			}
		}
	}
}

func buildParsers(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queries")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = filepath.Join(harness.Root(), "test", "backends", "queries")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the parsers: %v\n%s", err, out)
	}
	return path
}

// parse returns an error, or "", for each query.
func parse(t *testing.T, tool, language string, queries []string) []string {
	t.Helper()
	return answers(t, tool, language, len(queries), map[string]any{language: queries})
}

// find returns an error, or "", for each LogQL query: whether it finds something in lines
// by their labels.
func find(t *testing.T, tool string, queries []string, streams map[string][]string) []string {
	t.Helper()
	return answers(t, tool, "logql", len(queries), map[string]any{"logql": queries, "streams": streams})
}

func answers(t *testing.T, tool, language string, n int, request map[string]any) []string {
	t.Helper()
	input, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers map[string][]string
	if err := json.Unmarshal(output, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers[language]) != n {
		t.Fatalf("%d answers to %d queries", len(answers[language]), n)
	}
	return answers[language]
}
