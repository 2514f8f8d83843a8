package words

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// phrases lists what no text of the project says, and what it says instead.
// Each is matched within a line, in any case.
var phrases = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{phrase(`tells? (whether|if)`), "reports whether"},
	{phrase(`mend(s|ed|ing)?`), "fix"},
	{phrase(`renew(s|ed|al|ing)?`), "refresh, replace"},
	{phrase(`meanwhile`), "in the meantime, since"},
	{phrase(`(is|are|was|were) gone`), "no longer exists, removed"},
	{phrase(`stands`), "is, appears, represents"},
	{phrase(`(may|can|must) stand`), "may appear"},
	{regexp.MustCompile(`(?i)\bin all[.,;:)]`), "altogether, together"},
	{phrase(`such as (that|those) of`), "such as the … of"},
	{phrase(`(is|are|than) (that|those) of`), "is the … of"},
	{phrase(`hand(s|ed|ing)? (it |them )?(on|over|out)`), "forward, pass, lease"},
	{phrase(`pass(es|ed)? (it|them) on`), "forward"},
	{phrase(`(leaves?|left|leaving) out`), "drop, skip, omit"},
	{phrase(`is to be`), "has to be, will be"},
	{phrase(`as you ask`), "matching"},
	{phrase(`(none|what) waits`), "waiting"},
	{phrase(`(takes?|taking) data again`), "recovered"},
	{phrase(`(trying|tried) again`), "retrying, retried"},
	{phrase(`cannot be had`), "is not available"},
	{phrase(`(at|with) its place`), "with file and line"},
	{phrase(`end of the program`), "shutdown"},
	{phrase(`is no URL`), "is not a valid URL"},
	{phrase(`ask the target`), "Fetch now"},
	{phrase(`never took anything`), "Nothing delivered yet"},
	{phrase(`took something last`), "Last delivery"},
	{phrase(`on average of`), "avg"},
	{phrase(`labels as the component is given them`), "Labels before relabeling"},
	{phrase(`how rules made them`), "How relabeling changed them"},
	{phrase(`gates?`), "circuit breaker"},
	{phrase(`densit(y|ies)`), "compression ratio"},
	{phrase(`veil(s|ed)?`), "redaction"},
	{phrase(`lanes?`), "queue, reader"},
	{phrase(`queue\.Want`), "queue.BatchLimits"},
	{phrase(`relabell(ing|ed|er)`), "relabeling"},
	{phrase(`(colou|behaviou|honou|neighbou)r\w*`), "color, behavior, honor, neighbor"},
	{phrase(`time-outs?`), "timeout"},
}

// pending lists what still awaits its pass. Nothing may be added.
var pending = []string{"pkg/admin", "test/ui", "docs/ui.md", "bench", "docs/performance.md"}

// exempt lists where a phrase is another's, or has another sense.
var exempt = []string{
	"test/words",                   // the list itself
	"test/conformance",             // texts recorded from Alloy
	"cmd/collector/testdata/alloy", // texts of Alloy's documentation
	"third_party",
}

// allowed are parts of lines that keep a phrase: values of labels, which never change.
var allowed = regexp.MustCompile(`"relabelled"`)

// kinds are the names of files that people read: code, pages' files, documents.
var kinds = []string{".go", ".md", ".js", ".css", ".html", ".tmpl", ".yaml", ".yml", ".alloy", "Makefile"}

func phrase(words string) *regexp.Regexp { return regexp.MustCompile(`(?i)\b` + words + `\b`) }

func TestNoTextUsesAPhraseOfTheList(t *testing.T) {
	walk(t, root, func(path string) {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		if below(name, pending) || below(name, exempt) || !slices.ContainsFunc(kinds, func(kind string) bool { return strings.HasSuffix(name, kind) }) {
			return
		}
		for _, found := range find(read(t, path)) {
			t.Errorf("%s:%s", name, found)
		}
	})
}

func TestAPlantedPhraseIsFound(t *testing.T) {
	const text = "// ok tells whether it is on.\nvar ok = true // 3 in all, as in all releases\n"
	found := find(text)
	if len(found) != 2 || !strings.HasPrefix(found[0], "1: \"tells whether\"") || !strings.HasPrefix(found[1], "2: \"in all,\"") {
		t.Errorf("found %q", found)
	}
	if found := find("A target stalls; the standard tells more, in all cases.\n"); len(found) > 0 {
		t.Errorf("found %q in a text without a phrase", found)
	}
}

// find describes the phrases in text, with their lines.
func find(text string) []string {
	var found []string
	for i, line := range strings.Split(text, "\n") {
		line = allowed.ReplaceAllString(line, "")
		for _, p := range phrases {
			if match := p.pattern.FindString(line); match != "" {
				found = append(found, fmt.Sprintf("%d: %q: write %s", i+1, match, p.instead))
			}
		}
	}
	return found
}

func below(name string, paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		return name == path || strings.HasPrefix(name, path+"/")
	})
}
