// Package words checks what people read: that documents refer to what exists, and that no text of
// the project uses a phrase of the list.
package words

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var (
	codeSpan     = regexp.MustCompile("`[^`]+`")
	testName     = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z0-9]\w*`)
	declaration  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	documentLink = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// A promise without a test is no promise: every test that a document names exists.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	exists := map[string]bool{}
	walk(t, root, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			for _, match := range declaration.FindAllStringSubmatch(read(t, path), -1) {
				exists[match[1]] = true
			}
		}
	})
	for _, path := range documents(t) {
		for _, span := range codeSpan.FindAllString(read(t, path), -1) {
			for _, name := range testName.FindAllString(span, -1) {
				if !exists[name] && !(strings.Contains(span, name+"…") && hasPrefix(exists, name)) {
					t.Errorf("%s names %s, which no file declares", path, name)
				}
			}
		}
	}
}

func TestLinksOfDocumentsLeadToFiles(t *testing.T) {
	for _, path := range documents(t) {
		for _, match := range documentLink.FindAllStringSubmatch(read(t, path), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), match[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, match[1])
			}
		}
	}
}

// documents returns the paths of README.md and all of docs and deploy.
func documents(t *testing.T) []string {
	paths := []string{filepath.Join(root, "README.md")}
	for _, folder := range []string{"docs", "deploy"} {
		walk(t, filepath.Join(root, folder), func(path string) {
			if strings.HasSuffix(path, ".md") {
				paths = append(paths, path)
			}
		})
	}
	return paths
}

func hasPrefix(names map[string]bool, prefix string) bool {
	for name := range names {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func walk(t *testing.T, folder string, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin") {
			return filepath.SkipDir
		}
		if !entry.IsDir() {
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
