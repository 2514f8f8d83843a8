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

	"collector/pkg/admin"
	"collector/pkg/logging"
)

// Both are found by the shape of lines, and so without the parser that is
// under test: the blocks of a configuration, and the environment variables that
// it needs.
var (
	labeled     = regexp.MustCompile(`(?m)^[ \t]*([a-z_]+(?:\.[a-z_0-9]+)+)[ \t]*"([^"]*)"[ \t]*\{`)
	unlabeled   = regexp.MustCompile(`(?m)^([a-z_]+)[ \t]*\{`)
	environment = regexp.MustCompile(`env\("([^"]+)"\)`)
	// portName is the name of a variable with a port, levelName of one with a log level.
	portName  = regexp.MustCompile(`(^|_)PORT(_|$)`)
	levelName = regexp.MustCompile(`(^|_)LEVEL$`)
	// placeholder is what a deployment fills in before the file is one.
	placeholder = regexp.MustCompile(`\{\{[A-Z_]+\}\}`)
	// newer are blocks of versions of Alloy after 1.12.
	newer    = regexp.MustCompile(`(?m)^[ \t]+(htpasswd)[ \t]*\{`)
	dangling = regexp.MustCompile(`: ([a-z_0-9.]+) refers to a component that does not exist`)
)

// TestRealConfigurations validates the configurations that lie beside the
// project: those that use only what is there are accepted, and for each other
// the file, the line and the component are named.
func TestRealConfigurations(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "corpus", "*.alloy"))
	if len(files) == 0 {
		t.Skip("there are no configurations beside the project")
	}
	var known []string
	for _, d := range components(logging.New(&bytes.Buffer{}), &admin.Access{}, nil, nil) {
		known = append(known, d.Name)
	}
	accepted := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range environment.FindAllStringSubmatch(string(text), -1) {
			value := "http://127.0.0.1:1"
			switch {
			case portName.MatchString(m[1]):
				value = "4317"
			case levelName.MatchString(m[1]):
				value = "info"
			}
			t.Setenv(m[1], value)
		}
		if placeholder.Match(text) {
			text = placeholder.ReplaceAll(text, []byte("127.0.0.1"))
			file = filepath.Join(t.TempDir(), filepath.Base(file))
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		unsupported := unsupportedBlocks(string(text), known)
		var out, errOut bytes.Buffer
		err = validate([]string{file}, &out, &errOut)
		if len(unsupported) == 0 {
			if err == nil {
				accepted++
			} else if !lacksOnlyComponents(errOut.String(), file, string(text)) {
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

// lacksOnlyComponents reports whether every error is about a component that is
// not there: a file of a directory refers to what is in the others.
func lacksOnlyComponents(diagnostics, file, text string) bool {
	for line := range strings.Lines(diagnostics) {
		if strings.HasPrefix(line, file) && !strings.Contains(line, "collector does not support") && !strings.Contains(line, ": warning: ") && !leadsElsewhere(line, text) {
			return false
		}
	}
	return true
}

// leadsElsewhere reports whether an error is about a reference to a component
// that is not in the text.
func leadsElsewhere(line, text string) bool {
	reference := dangling.FindStringSubmatch(line)
	if reference == nil {
		return false
	}
	return !slices.ContainsFunc(labeled.FindAllStringSubmatch(text, -1), func(block []string) bool {
		return strings.HasPrefix(reference[1], block[1]+"."+block[2]+".")
	})
}

type placedName struct {
	name string
	line int
}

func unsupportedBlocks(text string, known []string) []placedName {
	var out []placedName
	blocks := append(labeled.FindAllStringSubmatchIndex(text, -1), unlabeled.FindAllStringSubmatchIndex(text, -1)...)
	for _, m := range blocks {
		if name := text[m[2]:m[3]]; !slices.Contains(known, name) {
			out = append(out, placedName{name, 1 + strings.Count(text[:m[2]], "\n")})
		}
	}
	for _, m := range newer.FindAllStringSubmatchIndex(text, -1) {
		out = append(out, placedName{text[m[2]:m[3]], 1 + strings.Count(text[:m[2]], "\n")})
	}
	return out
}
