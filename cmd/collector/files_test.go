package main

import (
	"strings"
	"testing"

	"collector/pkg/config"
	"collector/pkg/reference"
)

// TestValidateLooksForEveryFile checks that each argument that names a file has
// the tag that says so.
func TestValidateLooksForEveryFile(t *testing.T) {
	written := map[string]bool{
		"scrape_failure_log_file": true,
		"legacy_positions_file":   true, // read once, and missing as a rule
	}
	var check func(of string, arguments []config.Argument)
	check = func(of string, arguments []config.Argument) {
		for _, a := range arguments {
			if strings.HasSuffix(a.Name, "_file") && len(a.Arguments) == 0 && !a.File && !written[a.Name] {
				t.Errorf("%s > %s has no tag option \"file\"", of, a.Name)
			}
			check(of+" > "+a.Name, a.Arguments)
		}
	}
	for _, d := range table() {
		check(d.Name, reference.Arguments(d, valueKinds()))
	}
}
