package main

import (
	"encoding/json"
	"go/build"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
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
	e := evidence{idle: idleCases(t), tests: map[string]string{}}
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
			e.check(t, name, pattern, shown)
		}
	}
}

// evidence is what lines can refer to.
type evidence struct {
	idle  map[string]string // see idleCases
	tests map[string]string // the text of a folder's tests, once it was read
}

// check checks that the test that shown names is run, or the case, and that the case
// has the argument.
func (e evidence) check(t *testing.T, component, path, shown string) {
	t.Helper()
	words := strings.Fields(shown)
	switch {
	case len(words) > 1 && words[0] == "none":
	case len(words) == 3 && words[0] == "test":
		if !e.hasTest(t, words[1], words[2]) {
			t.Errorf("%s: %s: %s has no test %s", component, path, words[1], words[2])
		}
	case len(words) == 2 && words[0] == "case":
		name := path[strings.LastIndex(path, " ")+1:]
		config := caseConfig(t, words[1])
		if !strings.Contains(config, name) && !strings.Contains(name, "*") {
			t.Errorf("%s: %s: the case %s has no %s", component, path, words[1], name)
		}
		for mark, why := range e.idle {
			if mark == words[1] || regexp.MustCompile(`(?m)^\s*`+regexp.QuoteMeta(mark)+`\s`).MatchString(config) {
				t.Errorf("%s: %s: the case %s shows nothing: %s", component, path, words[1], why)
			}
		}
	default:
		t.Errorf("%s: %s: %q is neither a test nor a case, nor a reason", component, path, shown)
	}
}

// idleCases are the cases that show nothing, and the components and blocks with which
// a case shows nothing, with the reason.
func idleCases(t *testing.T) map[string]string {
	t.Helper()
	idle := map[string]string{}
	for file, why := range map[string]string{"differences.txt": "the collector differs", "later.txt": "it is not run yet"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "test", "conformance", "testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if mark, _, _ := strings.Cut(strings.TrimSpace(line), ": "); mark != "" && !strings.HasPrefix(mark, "#") {
				idle[mark] = why
			}
		}
	}
	return idle
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

// hasTest reports whether the package in folder has a test of that name among those
// that need no tag.
func (e evidence) hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	text, read := e.tests[folder]
	if !read {
		path := filepath.Join("..", "..", filepath.FromSlash(folder))
		pkg, err := build.ImportDir(path, 0)
		if err != nil {
			t.Error(err)
		}
		for _, file := range slices.Concat(pkg.TestGoFiles, pkg.XTestGoFiles) {
			b, err := os.ReadFile(filepath.Join(path, file))
			if err != nil {
				t.Fatal(err)
			}
			text += string(b)
		}
		e.tests[folder] = text
	}
	return strings.Contains(text, "\nfunc "+name+"(t *testing.T)")
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
