package config

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func plainText(lines [][]Piece) string {
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, p := range line {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

func TestHighlightNamesThePieces(t *testing.T) {
	source := "// remark\nloki.write \"default\" {\n\tendpoint {\n\t\turl = sys.env(\"X\") + `raw`\n\t\tn = 12.5\n\t}\n\tok = true\n}"
	lines := Highlight(Source{Text: []byte(source)})
	if got := plainText(lines); got != source {
		t.Fatalf("the text has changed:\n%s", got)
	}
	for _, want := range []struct {
		line  int
		piece Piece
	}{
		{1, Piece{Comment, "// remark"}}, {2, Piece{Heading, "loki"}}, {2, Piece{Heading, "write"}}, {2, Piece{String, `"default"`}}, {3, Piece{Heading, "endpoint"}},
		{4, Piece{Name, "url"}}, {4, Piece{Function, "env"}}, {4, Piece{String, "`raw`"}}, {5, Piece{Number, "12.5"}}, {7, Piece{Keyword, "true"}},
	} {
		found := false
		for _, p := range lines[want.line-1] {
			found = found || p == want.piece
		}
		if !found {
			t.Errorf("line %d has no %v: %v", want.line, want.piece, lines[want.line-1])
		}
	}
}

func TestHighlightHidesSecrets(t *testing.T) {
	for _, source := range []string{
		`password = "hunter2"`, "password = `hunter2\nhunter2`", `bearer_token = "a" + "hunter2"`, `password = coalesce(sys.env("X"), "hunter2")`,
		`http_headers = {"X-Any" = ["hunter2"]}`, "http_headers = {\n\t\"X\" = [\n\"hunter2\",\n],\n}", `headers = {"Authorization" = "hunter2"}`, `x = {password = "hunter2", ok = "y"}`,
		`password = hunter2`, `password "hunter2"`, `password = 'hunter2'`, `password = "hunter2`, `// password = "hunter2"`, `/* api_key: hunter2 */`, "/* x\npassword = hunter2\n*/",
		`url = "http://u:hunter2@h/"`, `key_pem = "-----hunter2`, "a {\n client_secret =\n \"hunter2\"\n}", `api_key = 12345 + "hunter2"`,
		`headers = {"x-honeycomb-team" = "hunter2"}`, "headers = {\n\t\"X-Scope-OrgID\" = \"a\",\n\t\"X-Team\" = concat(\"a\", \"hunter2\"),\n}", `headers = ["hunter2"]`, `headers = merge({"a" = "hunter2"})`,
		`params = {"sig" = ["hunter2"]}`, `url = "http://h/?auth=hunter2"`, `passwrd = "hunter2"`, `basic_pasword = "hunter2"`, `x = {"__param_key" = "hunter2"}`,
		"rule {\n\ttarget_label = \"__param_access_token\"\n\treplacement = \"hunter2\"\n}", "a {\n rule {\n\treplacement = \"hunter2\"\n\ttarget_label = \"__param_sig\"\n}\n}",
	} {
		if got := plainText(Highlight(Source{Text: []byte(source)})); strings.Contains(got, "hunter2") {
			t.Errorf("%q is shown as %q", source, got)
		}
	}
	for _, source := range []string{
		`password_file = "/run/x"`, "authorization {\n\ttype = \"Bearer\"\n}", `token_url = "http://h/"`, `password = local.file.x.content`, "password = sys.env(\"X\")\nname = \"y\"",
		`headers = {"X-Scope-OrgID" = "tenant", "Accept" = "text/plain"}`, `params = {"module" = ["http", "tcp"]}`, "rule {\n\ttarget_label = \"job\"\n\treplacement = \"shop\"\n}",
		`regex = "(?i)a=b"`, `keyword = "x"`,
	} {
		got := plainText(Highlight(Source{Text: []byte(source)}))
		if want := strings.ReplaceAll(source, `"X"`, "***"); got != want {
			t.Errorf("%q is shown as %q", source, got)
		}
	}
}

// FuzzHighlight checks that nothing but secrets is changed: each line has its
// length, and a character is itself or an asterisk.
func FuzzHighlight(f *testing.F) {
	for _, seed := range []string{"a \"b\" {\n\tpassword = \"x\"\n}", "/* a\nb */ x = 'y", "\"", "`\n\n", "= \xff\x00", "a.b.c = [1, {\"k\" = null}] // z\n", "x = 1 // a\n/**/", "{}{}//", "a = \"\\", "|\n&", "!= ⅷ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := string(normalize([]byte(text)))
		got := plainText(Highlight(Source{Text: []byte(text)}))
		if len(got) != len(want) || strings.Count(got, "\n") != strings.Count(want, "\n") {
			t.Fatalf("%q becomes %q", want, got)
		}
		for i := range len(got) {
			if got[i] != want[i] && got[i] != '*' {
				t.Fatalf("%q becomes %q", want, got)
			}
		}
		if utf8.ValidString(want) && !utf8.ValidString(got) {
			t.Fatalf("%q becomes %q", want, got)
		}
	})
}
