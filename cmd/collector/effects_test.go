package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/config"
	"collector/pkg/reference"
)

// TestEveryArgumentShowsItsEffect checks that testdata/effects.tsv has a line for
// each argument of the components in it, and that what it names exists.
func TestEveryArgumentShowsItsEffect(t *testing.T) {
	for name, lines := range readEffects(t) {
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
			checkEvidence(t, name+": "+pattern, shown)
		}
	}
}

// checkEvidence checks that the test or the case that shown names exists.
func checkEvidence(t *testing.T, of, shown string) {
	t.Helper()
	words := strings.Fields(shown)
	switch {
	case shown == "missing" || len(words) > 1 && words[0] == "none":
	case len(words) == 3 && words[0] == "test":
		if !hasTest(t, words[1], words[2]) {
			t.Errorf("%s: %s has no test %s", of, words[1], words[2])
		}
	case len(words) == 2 && words[0] == "case":
		file := filepath.Join("..", "..", "test", "conformance", "testdata", "cases", filepath.FromSlash(words[1])+".json")
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: %v", of, err)
		}
	default:
		t.Errorf("%s: %q is neither a test nor a case, nor a reason", of, shown)
	}
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

// argumentPaths lists the paths of arguments, and of those in blocks.
func argumentPaths(prefix string, arguments []config.Argument) []string {
	var paths []string
	for _, a := range arguments {
		if !a.Block {
			paths = append(paths, prefix+a.Name)
		}
		// A block may hold the list of blocks that it is in.
		if !strings.HasPrefix(a.Name, "stage.") {
			paths = append(paths, argumentPaths(prefix+a.Name+" > ", a.Arguments)...)
		}
	}
	return paths
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
	var current map[string]string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		path, shown, argument := strings.Cut(line, "\t")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case argument:
			current[path] = shown
		default:
			current = map[string]string{}
			all[line] = current
		}
	}
	return all
}
