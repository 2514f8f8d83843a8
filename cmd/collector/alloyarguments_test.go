package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"collector/pkg/config"
	"collector/pkg/reference"
)

// fact is what an argument or a block is.
type fact struct{ kind, need, value string }

// TestArgumentsAreAlloys compares the arguments and blocks of every component with
// those of Alloy's component of that name.
func TestArgumentsAreAlloys(t *testing.T) {
	alloys := readFacts(t, filepath.Join("testdata", "alloy-arguments.tsv"))
	used := map[string]bool{}
	for _, d := range table() {
		theirs, known := alloys[d.Name]
		if !known {
			if ownComponents[d.Name] == "" {
				t.Errorf("%s is no component of Alloy: list it with the reason why there is one", d.Name)
			}
			continue
		}
		ours := map[string]fact{}
		collectFacts(ours, "", reference.Arguments(d, valueKinds()))
		for _, difference := range differences(ours, theirs) {
			reason := ""
			for pattern := range deliberateDifferences {
				if covers(pattern, d.Name+": "+difference) {
					used[pattern], reason = true, deliberateDifferences[pattern]
				}
			}
			if reason == "" {
				t.Errorf("%s: %s", d.Name, difference)
			}
		}
	}
	for pattern := range deliberateDifferences {
		if !used[pattern] {
			t.Errorf("nothing differs as the list says of %q: remove it", pattern)
		}
	}
}

// differences are what differs between two components, one line each. Of a block
// that one of them lacks, only the block itself is named.
func differences(ours, theirs map[string]fact) []string {
	var found []string
	paths := maps.Clone(ours)
	maps.Copy(paths, theirs)
	lacking := func(of map[string]fact, path string) bool {
		_, there := of[path]
		return !there
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if i := strings.LastIndex(path, " > "); i >= 0 && (lacking(ours, path[:i]) || lacking(theirs, path[:i])) {
			continue
		}
		our, their := ours[path], theirs[path]
		switch {
		case lacking(ours, path):
			found = append(found, path+" is missing")
		case lacking(theirs, path):
			found = append(found, path+" is not in Alloy")
		case our.kind != their.kind:
			found = append(found, fmt.Sprintf("%s is a %s, in Alloy a %s", path, our.kind, their.kind))
		case our.need != their.need:
			found = append(found, fmt.Sprintf("%s is %s, in Alloy %s", path, our.need, their.need))
		case our.value != their.value && their.value != "?":
			found = append(found, fmt.Sprintf("%s is %s by default, in Alloy %s", path, our.value, their.value))
		}
	}
	return found
}

// covers reports whether pattern, in which * is any text, is all of text.
func covers(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	for i, part := range parts {
		at := strings.Index(text, part)
		if at < 0 || i == len(parts)-1 && !strings.HasSuffix(text, part) {
			return false
		}
		text = text[at+len(part):]
	}
	return text == "" || strings.HasSuffix(pattern, "*")
}

// collectFacts describes the arguments of the block at prefix.
func collectFacts(into map[string]fact, prefix string, arguments []config.Argument) {
	for _, a := range arguments {
		f := fact{kind: "argument", need: "optional", value: a.Default}
		if a.Block {
			f.kind = "block"
		}
		if a.Repeatable {
			f.kind = "blocks"
		}
		if a.Required {
			f.need = "required"
		}
		into[prefix+a.Name] = f
		collectFacts(into, prefix+a.Name+" > ", a.Arguments)
	}
}

// readFacts reads the table by components and paths.
func readFacts(t *testing.T, file string) map[string]map[string]fact {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]fact{}
	var current map[string]fact
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		columns := strings.Split(line, "\t")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case len(columns) == 1:
			current = map[string]fact{}
			all[line] = current
		case len(columns) == 4:
			current[columns[0]] = fact{columns[1], columns[2], columns[3]}
		default:
			t.Fatalf("%s: line %q has %d columns", file, line, len(columns))
		}
	}
	return all
}
