package graph

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"collector/pkg/config"
)

func named(pairs ...string) []config.Source {
	var sources []config.Source
	for i := 0; i < len(pairs); i += 2 {
		sources = append(sources, config.Source{Name: pairs[i], Text: []byte(pairs[i+1])})
	}
	return sources
}

const (
	oneLogs = "toy.logs \"w\" { }\n"
	twoLogs = "toy.logs \"v\" { }\n"
)

// A file that is cut off to nothing, or a pipe that has been read, stops nothing.
func TestAConfigurationThatLostAllItsComponentsIsRejected(t *testing.T) {
	for name, test := range map[string]struct {
		before, after []config.Source
		refused       string // the file that the error names; "" if it is accepted
	}{
		"nothing":               {named("a", oneLogs), named("a", ""), "a"},
		"only space":            {named("a", oneLogs), named("a", " \n\t\r\n"), "a"},
		"only comments":         {named("a", oneLogs), named("a", "// nothing\n/* toy.logs \"w\" { } */\n"), "a"},
		"only the log's block":  {named("a", oneLogs), named("a", "logging { }\n"), "a"},
		"another name":          {named("a", oneLogs), named("b", ""), "b"},
		"no file":               {named("a", oneLogs), nil, "no components"},
		"one of two":            {named("a", oneLogs, "b", twoLogs), named("a", oneLogs, "b", ""), "b"},
		"removed file":          {named("a", oneLogs, "b", twoLogs), named("a", oneLogs), ""},
		"moved component":       {named("a", oneLogs), named("b", oneLogs), ""},
		"fewer":                 {named("a", oneLogs+twoLogs), named("a", twoLogs), ""},
		"had none":              {named("a", "logging { }\n"), named("a", ""), ""},
		"one had none":          {named("a", oneLogs, "b", "logging { }\n"), named("a", oneLogs, "b", ""), ""},
		"empty from the start":  {named("a", ""), named("a", "// still\n"), ""},
		"components after none": {named("a", ""), named("a", oneLogs), ""},
	} {
		for _, allowed := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{Kinds: toyKinds(), Definitions: newToys().definitions(), AllowEmpty: allowed})
				defer func() { c.Stop(0); synctest.Wait() }()
				if err := c.Load(context.Background(), test.before); err != nil {
					t.Fatal(err)
				}
				running := len(c.graph().nodes)
				err := c.Load(context.Background(), test.after)
				if test.refused == "" || allowed {
					if err != nil {
						t.Errorf("%s, allowed %t: %v", name, allowed, err)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), test.refused) || !strings.Contains(err.Error(), "--config.allow-empty") {
					t.Errorf("%s: %v, want a refusal that names %s", name, err, test.refused)
				}
				if _, failed := c.Configuration(); failed == nil || len(c.graph().nodes) != running {
					t.Errorf("%s: %d components run on of %d; the failure is %v", name, len(c.graph().nodes), running, failed)
				}
			})
		}
	}
}
