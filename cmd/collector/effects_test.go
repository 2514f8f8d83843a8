package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/httpserver"
	"collector/pkg/reference"
)

// TestEveryArgumentShowsItsEffect checks that testdata/effects.tsv has a line for
// each argument of every component, and that what it names exists.
func TestEveryArgumentShowsItsEffect(t *testing.T) {
	effects := readEffects(t)
	for _, d := range table() {
		names := []string{d.Name}
		for _, a := range reference.Arguments(d, valueKinds()) {
			if isStage(a) {
				names = append(names, d.Name+" "+a.Name)
			}
		}
		for _, name := range names {
			if _, listed := effects[name]; !listed {
				t.Errorf("%s is not listed", name)
			}
		}
	}
	for name, lines := range effects {
		arguments := argumentsAt(t, name)
		used := map[string]bool{}
		for _, path := range arguments {
			pattern := ""
			for p := range lines {
				if covers(p, path) {
					pattern = p
				}
			}
			if pattern == "" {
				t.Errorf("%s: no line says which test shows the effect of %s", name, path)
			}
			used[pattern] = true
		}
		for pattern, shown := range lines {
			if !used[pattern] {
				t.Errorf("%s has no argument %s", name, pattern)
			}
			checkEvidence(t, name, pattern, shown)
		}
	}
}

// checkEvidence checks that the test that shown names exists, or the case, and that
// the case has the argument.
func checkEvidence(t *testing.T, component, path, shown string) {
	t.Helper()
	words := strings.Fields(shown)
	switch {
	case shown == "missing" || len(words) > 1 && words[0] == "none":
	case len(words) == 3 && words[0] == "test":
		if !hasTest(t, words[1], words[2]) {
			t.Errorf("%s: %s: %s has no test %s", component, path, words[1], words[2])
		}
	case len(words) == 2 && words[0] == "case":
		name := path[strings.LastIndex(path, " ")+1:]
		if config := caseConfig(t, words[1]); !strings.Contains(config, name) && !strings.Contains(name, "*") {
			t.Errorf("%s: %s: the case %s has no %s", component, path, words[1], name)
		}
	default:
		t.Errorf("%s: %s: %q is neither a test nor a case, nor a reason", component, path, shown)
	}
}

// caseConfig is the configuration of a recorded case.
func caseConfig(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "test", "conformance", "testdata", "cases", filepath.FromSlash(name)+".json"))
	if err != nil {
		t.Error(err)
		return ""
	}
	var recorded struct {
		Config string `json:"config"`
	}
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return recorded.Config
}

// hasTest reports whether the package in folder has a test of that name.
func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}

// argumentsAt lists the paths of the arguments of a component, or of one of its
// blocks: "loki.process stage.json".
func argumentsAt(t *testing.T, name string) []string {
	t.Helper()
	component, block, within := strings.Cut(name, " ")
	for _, d := range table() {
		if d.Name != component {
			continue
		}
		arguments := reference.Arguments(d, valueKinds())
		if !within {
			return argumentPaths("", arguments)
		}
		for _, a := range arguments {
			if a.Name == block {
				return argumentPaths("", a.Arguments)
			}
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

// isStage reports whether a block is a stage, which is listed by itself, as it may
// hold stages.
func isStage(a config.Argument) bool { return a.Block && strings.HasPrefix(a.Name, "stage.") }

// argumentPaths lists the paths of arguments, and of those in blocks.
func argumentPaths(prefix string, arguments []config.Argument) []string {
	var paths []string
	for _, a := range arguments {
		if !a.Block {
			paths = append(paths, prefix+a.Name)
		}
		if !isStage(a) {
			paths = append(paths, argumentPaths(prefix+a.Name+" > ", a.Arguments)...)
		}
	}
	return paths
}

// sharedBlocks are the paths of what several components take. The blocks of clients
// and servers have suites, which check that they have a test for every path and are
// run by each component.
func sharedBlocks() map[string][]string {
	paths := func(of reflect.Type) []string {
		return argumentPaths("", config.Describe(of, func(reflect.Type) string { return "" }))
	}
	return map[string][]string{
		"HTTP client": paths(reflect.TypeFor[httpclient.Config]()),
		"HTTP server": paths(reflect.TypeFor[httpserver.Config]()),
		"rule":        paths(reflect.TypeFor[discovery.Rule]()),
	}
}

// readEffects gives the lines of each component in testdata/effects.tsv, by their
// first column.
func readEffects(t *testing.T) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "effects.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]string{}
	shared := sharedBlocks()
	var current map[string]string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		path, shown, argument := strings.Cut(line, "\t")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasSuffix(path, "}"):
			prefix, block, _ := strings.Cut(strings.TrimSuffix(path, "}"), "{")
			if len(shared[block]) == 0 {
				t.Errorf("%s: there is no shared block %s", path, block)
			}
			for _, inner := range shared[block] {
				current[prefix+inner] = shown
			}
		case argument:
			current[path] = shown
		default:
			current = map[string]string{}
			all[line] = current
		}
	}
	return all
}
