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
// Each is matched within a line, in any case, where the line has the key.
var phrases = []struct {
	key     string // in lower case; a line without it is not matched, which saves minutes
	pattern *regexp.Regexp
	instead string
}{
	{"tell", phrase(`tells? (whether|if)`), "reports whether"},
	{"mend", phrase(`mend(s|ed|ing)?`), "fix"},
	{"renew", phrase(`renew(s|ed|al|ing)?`), "refresh, replace"},
	{"meanwhile", phrase(`meanwhile`), "in the meantime, since"},
	{"gone", phrase(`(is|are|was|were) gone`), "no longer exists, removed"},
	{"stands", phrase(`stands`), "is, appears, represents"},
	{" stand", phrase(`(may|can|must) stand`), "may appear"},
	{"in all", regexp.MustCompile(`(?i)\bin all[.,;:)]`), "altogether, together"},
	{"such as th", phrase(`such as (that|those) of`), "such as the … of"},
	{" of", phrase(`(is|are|than) (that|those) of`), "is the … of"},
	{"hand", phrase(`hand(s|ed|ing)? (it |them )?(on|over|out)`), "forward, pass, lease"},
	{" on", phrase(`pass(es|ed)? (it|them) on`), "forward"},
	{" out", phrase(`(leaves?|left|leaving) out`), "drop, skip, omit"},
	{"is to be", phrase(`is to be`), "has to be, will be"},
	{"as you ask", phrase(`as you ask`), "matching"},
	{" waits", phrase(`(none|what) waits`), "waiting"},
	{"data again", phrase(`(takes?|taking) data again`), "recovered"},
	{" again", phrase(`(trying|tried) again`), "retrying, retried"},
	{"be had", phrase(`cannot be had`), "is not available"},
	{"its place", phrase(`(at|with) its place`), "with file and line"},
	{"of the program", phrase(`end of the program`), "shutdown"},
	{"is no url", phrase(`is no URL`), "is not a valid URL"},
	{"ask the target", phrase(`ask the target`), "Fetch now"},
	{"never took", phrase(`never took anything`), "Nothing delivered yet"},
	{"took something", phrase(`took something last`), "Last delivery"},
	{"on average", phrase(`on average of`), "avg"},
	{"labels as the", phrase(`labels as the component is given them`), "Labels before relabeling"},
	{"how rules", phrase(`how rules made them`), "How relabeling changed them"},
	{"gate", phrase(`gates?`), "circuit breaker"},
	{"densit", phrase(`densit(y|ies)`), "compression ratio"},
	{"veil", phrase(`veil(s|ed)?`), "redaction"},
	{"lane", phrase(`lanes?`), "queue, reader"},
	{"queue.want", phrase(`queue\.Want`), "queue.BatchLimits"},
	{"relabell", regexp.MustCompile(`(?i)relabell(ing|ed|er)`), "relabeling"},
	{"our", regexp.MustCompile(`(?i)(colou|behaviou|honou|neighbou)r`), "color, behavior, honor, neighbor"},
	{"time-out", phrase(`time-outs?`), "timeout"},
	{"datum", phrase(`datum`), "item, sample, line, span"},
	{"passes on", phrase(`passes on`), "forwards"},
	{"lines ", phrase(`lines \d+ to \d+`), "lines 3–7"},
	{"reload failed", phrase(`reload failed now`), "failed just now"},
	{"write it", phrase(`write it such as`), "for example: …"},
	{"page conf", phrase(`the page Configuration`), "the Configuration page"},
	{"all there", phrase(`all there is`), "all"},
	{"sending fa", phrase(`sending failed`), "send failed"},
	{" note", phrase(`tak(e|es|ing) note`), "record"},
	{" apart", phrase(`(tell|tells|told|telling)( \w+){0,2} apart`), "distinguish"},
	{"for ever", phrase(`for ever`), "forever"},
	{"go of", phrase(`lets? go of`), "drop, release"},
	{"be had", phrase(`be had`), "is available"},
	{"good order", phrase(`in good order`), "cleanly"},
	{"with", phrase(`deal(s|t)? with`), "handle"},
	{"none other", phrase(`none other's`), "its own"},
	{"sees to", phrase(`sees? to it`), "ensures"},
	{"of no matter", phrase(`of no matter`), "does not matter"},
	{"brings", phrase(`brings? about`), "causes"},
	{"place", phrase(`AtTheirPlace|WithItsPlace`), "at its argument"},
	{"ifso", regexp.MustCompile(`IfSoConfigured`), "IfConfigured"},
	{"of", regexp.MustCompile(`Are?ThoseOf|IsThatOf`), "Match"},
	{"also if", phrase(`also if`), "even if"},
	{"anew", regexp.MustCompile(`\banew\b|[a-z]Anew`), "again"},
	{"isnottobe", regexp.MustCompile(`IsNotToBe`), "name what it is"},
	{"without", phrase(`answers? without`), "the response contains no …"},
	{"costs", regexp.MustCompile(`Costs?(Itself|Themselves)`), "AffectsNoOther"},
	{"centr", phrase(`centr(e|es|ed)`), "center"},
	{"for good", phrase(`(refuses?|refused|rejects?|rejected) for good`), "reject permanently"},
	{"asked with", phrase(`asked with (plain|TLS|HTTPS?)`), "but the collector uses plain HTTP"},
	{" told", phrase(`(senders?|clients?|sources?) (was|were) told`), "got an error"},
	{"processor t", phrase(`processor time`), "CPU time"},
	{"labell", phrase(`(un)?labell(ed|ing)`), "labeled"},
	{"cancell", regexp.MustCompile(`(?i)cancell(ed|ing)`), "canceled"},
	{"licence", phrase(`licences?`), "license"},
	{"acknowledgem", regexp.MustCompile(`(?i)acknowledgement`), "acknowledgment"},
	{"authoris", phrase(`authoris` + ending), "authoriz…"},
	{"customis", phrase(`customis` + ending), "customiz…"},
	{"initialis", phrase(`initialis` + ending), "initializ…"},
	{"minimis", phrase(`minimis` + ending), "minimiz…"},
	{"normalis", phrase(`normalis` + ending), "normaliz…"},
	{"optimis", phrase(`optimis` + ending), "optimiz…"},
	{"organis", phrase(`organis` + ending), "organiz…"},
	{"recognis", phrase(`recognis` + ending), "recogniz…"},
	{"serialis", phrase(`serialis` + ending), "serializ…"},
	{"summaris", phrase(`summaris` + ending), "summariz…"},
	{"synchronis", phrase(`synchronis` + ending), "synchroniz…"},
}

// ending follows the stem of a word that the field's tools write with a z.
const ending = `(e|es|ed|er|ing|ation)`

// exempt lists files whose phrases are quoted, or have another sense.
var exempt = []string{
	"test/words",                   // the list itself
	"test/conformance",             // texts recorded from Alloy
	"cmd/collector/testdata/alloy", // texts of Alloy's documentation
	"third_party",
}

// allowed are parts of lines that keep a phrase: values of labels, names of JSON fields
// and paths of APIs, which never change.
var allowed = regexp.MustCompile(`"relabelled"|"mend"|token/renew-self`)

// kinds are the names of files that people read: code, pages' files, documents.
var kinds = []string{".go", ".md", ".js", ".css", ".html", ".tmpl", ".yaml", ".yml", ".alloy", "Makefile"}

func phrase(words string) *regexp.Regexp { return regexp.MustCompile(`(?i)\b` + words + `\b`) }

func TestNoTextUsesAPhraseOfTheList(t *testing.T) {
	walk(t, root, func(path string) {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		if below(name, exempt) || !slices.ContainsFunc(kinds, func(kind string) bool { return strings.HasSuffix(name, kind) }) {
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
	if found := find("func TestColoursAreHonoured(t *testing.T) {\nfunc TestMetricsAreThoseOfAlloy(t *testing.T) {\n"); len(found) != 2 {
		t.Errorf("found %q in the names of tests", found)
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
		lower := strings.ToLower(line)
		for _, p := range phrases {
			if !strings.Contains(lower, p.key) {
				continue
			}
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
