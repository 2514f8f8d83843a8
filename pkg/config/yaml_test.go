package config

import (
	"strings"
	"testing"
)

func shownYAML(text string) string {
	var b strings.Builder
	for _, line := range Highlight(Source{Text: []byte(text), Original: true}) {
		for _, piece := range line {
			b.WriteString(piece.Text)
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Whatever the ways to write a secret, it is not shown, and the rest is, in its place.
func TestAnOriginalIsShownWithoutItsSecrets(t *testing.T) {
	const secret = "hunter2"
	for _, text := range []string{
		"password: hunter2",
		"password: \"hunter2\" # hunter2",
		"  - password : hunter2",
		"'password': hunter2",
		"{\"password\":\"hunter2\"}",
		"basic_auth: {username: me, password: hunter2}",
		"basic_auth: {password: hunter2, username: me}",
		"bearer_token: |\n  hunter2\n  hunter2",
		"tls_config:\n  key: |\n    -----BEGIN\n\n    hunter2\nurl: a",
		"scopes: a\nclient_secret:\n- hunter2\n- hunter2",
		"headers:\n  X-Anything: hunter2\n",
		"headers: {X-Anything: hunter2}",
		"http_headers:\n  X-Key:\n    values: [hunter2]\n",
		"url: http://me:hunter2@loki/push",
		"url: http://loki/push?key=hunter2",
		"- url: \"http://me:hunter2@loki/push\"",
		"# password: hunter2",
		"a: b # token: hunter2",
		"api_token: >-\n    hunter2",
		"? password\n: hunter2",
		"? &a password\n: hunter2",
		"&a bearer_token: hunter2",
		"- !!str &a bearer_token: hunter2",
		"basic_auth: {username: me, &a password: hunter2}",
		"basic_auth: {username: me, password:\n  hunter2}",
		"   basic_auth: {username: me, password:\n   hunter2}",
		"  - basic_auth: {username: me, password:\nhunter2\n}\nurl: a",
		"basic_auth: {username: \"}\", # }\npassword:\nhunter2}",
		"basic_auth: {username: it's, password:\n'}\nhunter2'}",
		"basic_auth: {username: 'it''s }', password:\n\n# }\nhunter2}",
		"basic_auth: {url: {a: [b,\nc]}, password:\nhunter2}",
		"[password:\nhunter2]",
		"password: \"a\n}\\\"\nhunter2\"",
		"password: !!str 'a\nhunter2'",
		"password:\n  {a: b,\nc: hunter2}",
	} {
		shown := shownYAML(text)
		if strings.Contains(shown, secret) {
			t.Errorf("%q is shown as %q", text, shown)
		}
		if len(shown) != len(text) {
			t.Errorf("%q is shown as %q, which has another length", text, shown)
		}
	}
	plain := "clients: # of Loki\n- url: http://loki/push\n  headers: {X-Scope-OrgID: a}\n  basic_auth:\n    password_file: /run/p\nkeys: [a, b]\n"
	if shown := shownYAML(plain); shown != plain {
		t.Errorf("%q is shown as %q", plain, shown)
	}
	// A secret hides no more than is certain to be its own.
	text := "auth: {password: a}\nbearer_token: b\na: [b,\nc]\nt: it's {\nd: 'e\nkey: |\n  {'\nf: g\npassword: [c,\nd]\ne: f\n"
	want := "auth: {password: **\nbearer_token: *\na: [b,\nc]\nt: it's {\nd: 'e\nkey: *\n  **\nf: g\npassword: ***\n**\ne: f\n"
	if shown := shownYAML(text); shown != want {
		t.Errorf("%q is shown as %q, want %q", text, shown, want)
	}
}

func TestANoteIsShownAtItsLineInAnOriginal(t *testing.T) {
	s := Source{Name: "p.yaml", Text: []byte("a: 1\r\n  password: hunter2\n"), Original: true}
	s.Notes = Diagnostics{{Severity: Warning, At: s.At(2, 3, 8), Message: "it is noted"}}
	doc, ds := Parse([]Source{{Name: "c.alloy", Text: []byte("a \"b\" { }\n")}, s})
	if len(doc.Blocks) != 1 || !doc.Complete || len(ds) != 1 {
		t.Fatalf("%+v %v", doc, ds)
	}
	want := "p.yaml:2:3: warning: it is noted\n    2 |   password: *******\n      |   ^^^^^^^^\n"
	if got := ds.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, line := range []int{-1, 0, 4} {
		if at := s.At(line, 1, 1).String(); at != "p.yaml" {
			t.Errorf("line %d is %s", line, at)
		}
	}
}

func FuzzHighlightYAML(f *testing.F) {
	for _, text := range []string{"a: b", "- {a: b, password: c}", "password:\n  - x", "headers:\n  a: b\nc: d", "a: |\n  b\n", "#\n\t\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(string(normalize([]byte(text))), "\n")
		shown := Highlight(Source{Text: []byte(text), Original: true})
		if len(shown) != len(lines) {
			t.Fatalf("%d lines are shown as %d", len(lines), len(shown))
		}
		for i, pieces := range shown {
			length := 0
			for _, p := range pieces {
				length += len(p.Text)
			}
			if length != len(lines[i]) {
				t.Fatalf("%q is shown as %v", lines[i], pieces)
			}
		}
	})
}
