package shipping

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestIssueTemplatesAreForms checks what GitHub needs in a form.
func TestIssueTemplatesAreForms(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github", "ISSUE_TEMPLATE", "*.yml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("no templates: %v", err)
	}
	for _, file := range files {
		if filepath.Base(file) == "config.yml" {
			continue
		}
		var form struct {
			Name, Description string
			Body              []struct {
				Type, ID   string
				Attributes map[string]any
			}
		}
		if err := yaml.Unmarshal([]byte(read(t, file)), &form); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if form.Name == "" || form.Description == "" || len(form.Body) == 0 {
			t.Errorf("%s needs a name, a description and a body", file)
		}
		ids := map[string]bool{}
		for _, field := range form.Body {
			text := "label"
			if field.Type == "markdown" {
				text = "value"
			} else if field.ID == "" || ids[field.ID] {
				t.Errorf("%s: the id %q is missing or is used more than once", file, field.ID)
			}
			ids[field.ID] = true
			if fmt.Sprint(field.Attributes[text]) == "" || field.Attributes[text] == nil {
				t.Errorf("%s: %s lacks %s", file, field.Type, text)
			}
		}
	}
}

// TestPapersNameTargetsThatExist checks the commands that the documents tell people to
// run.
func TestPapersNameTargetsThatExist(t *testing.T) {
	targets := targets(t)
	commands := regexp.MustCompile("`make ([a-z0-9 -]+)`")
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "build.sh", ".github/pull_request_template.md"} {
		for _, match := range commands.FindAllStringSubmatch(read(t, filepath.Join(root, name)), -1) {
			for _, target := range strings.Fields(match[1]) {
				if !targets[target] {
					t.Errorf("%s: there is no target %q", name, target)
				}
			}
		}
	}
}

// TestTheChangelogKeepsItsForm checks it against keepachangelog.com.
func TestTheChangelogKeepsItsForm(t *testing.T) {
	kinds := map[string]bool{"Added": true, "Changed": true, "Deprecated": true, "Removed": true, "Fixed": true, "Security": true}
	text := read(t, filepath.Join(root, "CHANGELOG.md"))
	version := regexp.MustCompile(`^\[(Unreleased|\d+\.\d+\.\d+)\]( - \d{4}-\d{2}-\d{2})?$`)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok && !version.MatchString(name) {
			t.Errorf("%q is not a version and its date", line)
		}
		if name, ok := strings.CutPrefix(line, "### "); ok && !kinds[name] {
			t.Errorf("%q is not a kind of change", line)
		}
	}
	if !strings.Contains(text, "\n## [Unreleased]\n") {
		t.Error("there is no section Unreleased")
	}
}
