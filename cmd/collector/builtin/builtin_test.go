package builtin

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Anybody who starts a container can get it scraped, so every configuration that comes
// with the collector visibly limits what a container may expose.
func TestWhatContainersMayExposeIsLimited(t *testing.T) {
	stack, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "config.alloy"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"built-in": Config(Parts(func(string) string { return "" }), true), "stack": string(stack),
	} {
		blocks := regexp.MustCompile(`(?ms)^prometheus\.scrape "containers" \{$.*?^\}$`).FindAllString(text, -1)
		if len(blocks) != 1 {
			t.Fatalf("%s: %d blocks that scrape containers", name, len(blocks))
		}
		for _, argument := range []string{"body_size_limit", "sample_limit", "label_limit", "label_name_length_limit", "label_value_length_limit"} {
			if !regexp.MustCompile(`(?m)^\t` + argument + ` += "?[1-9]`).MatchString(blocks[0]) {
				t.Errorf("%s: %s is not set:\n%s", name, argument, strings.TrimSpace(blocks[0]))
			}
		}
	}
}
