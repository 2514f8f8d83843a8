package main

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// The rules that put the port of a label into an address do so whatever the
// address looks like.
func TestThePortOfALabelReplacesThatOfAnyAddress(t *testing.T) {
	rule := regexp.MustCompile(`source_labels = \["__address__", "[a-z_]*port"\]\s+regex\s+= ("[^\n]*")\s+target_label  = "__address__"\s+replacement   = "\$1:\$2"`)
	for _, file := range []string{"builtin/metrics.alloy", "../../deploy/config.alloy"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rules := rule.FindAllSubmatch(text, -1)
		if len(rules) == 0 {
			t.Errorf("%s: no rule found", file)
		}
		for _, r := range rules {
			quoted, err := strconv.Unquote(string(r[1]))
			if err != nil {
				t.Fatal(err)
			}
			expression := regexp.MustCompile("^(?s:" + quoted + ")$")
			for in, want := range map[string]string{
				"10.0.0.2:80;9100": "10.0.0.2:9100", "host;9100": "host:9100",
				"[fd00::2]:80;9100": "[fd00::2]:9100", "[fd00::1];9100": "[fd00::1]:9100",
			} {
				if got := expression.ReplaceAllString(in, "$1:$2"); got != want {
					t.Errorf("%s: %s makes %q of %q, want %q", file, quoted, got, in, want)
				}
			}
		}
	}
}
