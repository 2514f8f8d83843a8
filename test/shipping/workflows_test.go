// Package shipping tests what surrounds the program: its builds, workflows and documents.
package shipping

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// root is the project's folder.
var root = filepath.Join("..", "..")

// workflow is the part of a GitHub workflow that is checked here; `make lint` has
// actionlint look at the whole.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Steps []struct{ Uses, Run string }
	}
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	all := map[string]workflow{}
	for _, file := range files {
		var w workflow
		if err := yaml.Unmarshal([]byte(read(t, file)), &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(w.Jobs) == 0 {
			t.Errorf("%s has no jobs", file)
		}
		all[file] = w
	}
	return all
}

// TestWorkflowsCallMake keeps what runs on GitHub the same as what runs everywhere.
func TestWorkflowsCallMake(t *testing.T) {
	targets := targets(t)
	for file, w := range workflows(t) {
		for _, job := range w.Jobs {
			for _, step := range job.Steps {
				if step.Run == "" {
					continue
				}
				words := strings.Fields(step.Run)
				if words[0] != "make" || len(words) < 2 {
					t.Errorf("%s runs %q, which is not make and a target", file, step.Run)
					continue
				}
				for _, target := range words[1:] {
					if !targets[target] {
						t.Errorf("%s: there is no target %q", file, target)
					}
				}
			}
		}
	}
}

// TestWorkflowsTestEverythingThatMakeTestDoes compares the steps of the workflow
// with the prerequisites of the target.
func TestWorkflowsTestEverythingThatMakeTestDoes(t *testing.T) {
	_, line, ok := strings.Cut(read(t, filepath.Join(root, "Makefile")), "\ntest: ")
	if !ok {
		t.Fatal("there is no target test")
	}
	line, _, _ = strings.Cut(line, "\n")
	line, _, _ = strings.Cut(line, "##")
	runs := map[string]bool{}
	for _, step := range workflows(t)[filepath.Join(root, ".github", "workflows", "test.yml")].Jobs["test"].Steps {
		for _, target := range strings.Fields(step.Run) {
			runs[target] = true
		}
	}
	for _, target := range strings.Fields(line) {
		if !runs[target] {
			t.Errorf("the workflow does not run make %s", target)
		}
	}
}

var pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})$`)

func TestActionsArePinnedAndWorkflowsHaveFewRights(t *testing.T) {
	for file, w := range workflows(t) {
		if w.Permissions["contents"] != "read" || len(w.Permissions) != 1 {
			t.Errorf("%s has the permissions %v by default, want contents: read alone", file, w.Permissions)
		}
		for _, job := range w.Jobs {
			for _, step := range job.Steps {
				if step.Uses != "" && !pinned.MatchString(step.Uses) {
					t.Errorf("%s uses %s, not a version such as @v1.2.3", file, step.Uses)
				}
			}
		}
	}
}

// targets returns the Makefile's targets.
func targets(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^([\w./ -]+):(?:[^=]|$)`).FindAllStringSubmatch(read(t, filepath.Join(root, "Makefile")), -1) {
		for _, name := range strings.Fields(match[1]) {
			found[name] = true
		}
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
