// Package words checks what people read: that documents refer to what exists, and that no text of
// the project uses a phrase of the list.
package words

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

var (
	codeSpan     = regexp.MustCompile("`[^`]+`")
	testName     = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z0-9]\w*`)
	declaration  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	documentLink = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	heading      = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	headingLink  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	punctuation  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	codeBlock    = regexp.MustCompile("(?ms)^ *```.*?^ *```")
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

func TestLinksOfDocumentsLeadToFilesAndHeadings(t *testing.T) {
	for _, path := range documents(t) {
		for _, match := range documentLink.FindAllStringSubmatch(codeBlock.ReplaceAllString(read(t, path), ""), -1) {
			target := path
			if match[1] != "" {
				target = filepath.Join(filepath.Dir(path), match[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, match[1])
			} else if match[2] != "" && !anchors(read(t, target))[match[2]] {
				t.Errorf("%s links to %s#%s, which is not a heading", path, match[1], match[2])
			}
		}
	}
}

func TestAnchorsMatchGitHubs(t *testing.T) {
	got := anchors("# What an attacker can and can't do\n\n## [Delivery](a.md)\n\n## Delivery\n\n### R2 and L6: `kill -9`\n")
	for _, want := range []string{"what-an-attacker-can-and-cant-do", "delivery", "delivery-1", "r2-and-l6-kill--9"} {
		if !got[want] {
			t.Errorf("%q is missing in %v", want, got)
		}
	}
}

// anchors returns the anchors of a document's headings, as GitHub makes them.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		name := headingLink.ReplaceAllString(match[1], "$1")
		name = strings.ReplaceAll(punctuation.ReplaceAllString(strings.ToLower(name), ""), " ", "-")
		for n, base := 1, name; out[name]; n++ {
			name = base + "-" + strconv.Itoa(n)
		}
		out[name] = true
	}
	return out
}

// documents returns the paths of the documents in the root and of all of docs and deploy.
func documents(t *testing.T) []string {
	paths, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
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
