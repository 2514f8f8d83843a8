package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"collector/pkg/logging"
)

// topLevel finds the blocks of a configuration by the shape of its lines, and
// so without the parser that is under test.
var topLevel = regexp.MustCompile(`(?m)^([a-z_]+(?:\.[a-z_0-9]+)*)[ \t]*(?:"[^"]*")?[ \t]*\{`)

// TestRealConfigurations validates the configurations that lie beside the
// project: those that use only what is there are accepted, and for each other
// the file, the line and the component are named.
func TestRealConfigurations(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "corpus", "*.alloy"))
	if len(files) == 0 {
		t.Skip("there are no configurations beside the project")
	}
	var known []string
	for _, d := range components(logging.New(&bytes.Buffer{})) {
		known = append(known, d.Name)
	}
	accepted := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		unsupported := unsupportedBlocks(string(text), known)
		var out, errOut bytes.Buffer
		err = validate([]string{file}, &out, &errOut)
		if len(unsupported) == 0 {
			accepted++
			if err != nil {
				t.Errorf("%s uses only what is there, but is refused:\n%s", filepath.Base(file), &errOut)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s is accepted", filepath.Base(file))
		}
		for _, u := range unsupported {
			if !slices.ContainsFunc(strings.Split(errOut.String(), "\n"), func(line string) bool {
				return strings.Contains(line, fmt.Sprintf("%s:%d:", file, u.line)) && strings.Contains(line, u.name)
			}) {
				t.Errorf("%s:%d: %s is not named in:\n%s", filepath.Base(file), u.line, u.name, &errOut)
			}
		}
	}
	t.Logf("%d of %d configurations are accepted", accepted, len(files))
}

type placedName struct {
	name string
	line int
}

func unsupportedBlocks(text string, known []string) []placedName {
	var out []placedName
	for _, m := range topLevel.FindAllStringSubmatchIndex(text, -1) {
		if name := text[m[2]:m[3]]; !slices.Contains(known, name) {
			out = append(out, placedName{name, 1 + strings.Count(text[:m[0]], "\n")})
		}
	}
	return out
}
