// Package builtin is the configuration that the collector runs when it is
// given none: what a Docker host has, to the destinations that environment
// variables name.
package builtin

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.alloy
var files embed.FS

// file is the text of an embedded file.
func file(name string) string {
	text, err := files.ReadFile(name + ".alloy")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(text)
}

// Part is one signal of the built-in configuration. It runs when its
// destination is set.
type Part struct {
	Signal      string // "metrics", "logs", "traces", "profiles"
	Does        string // what the part does, for people
	Variable    string // the environment variable that names the destination
	Example     string
	Destination string // the variable's value
	docker      bool   // the part needs the containers that Docker runs
}

// On reports whether the part runs.
func (p Part) On() bool { return p.Destination != "" }

// Parts lists the parts, with the destinations from getenv.
func Parts(getenv func(string) string) []Part {
	parts := []Part{
		{Signal: "metrics", Does: "scrapes the containers that opt in by label", Variable: "COLLECTOR_METRICS_URL", Example: "http://victoriametrics:8428/api/v1/write", docker: true},
		{Signal: "logs", Does: "reads the output of all containers", Variable: "COLLECTOR_LOGS_URL", Example: "http://loki:3100/loki/api/v1/push", docker: true},
		{Signal: "traces", Does: "receives OTLP on ports 4317 and 4318", Variable: "COLLECTOR_TRACES_ENDPOINT", Example: "tempo:4317"},
		{Signal: "profiles", Does: "receives Pyroscope pushes on port 4040", Variable: "COLLECTOR_PROFILES_URL", Example: "http://pyroscope:4040"},
	}
	for i := range parts {
		parts[i].Destination = getenv(parts[i].Variable)
	}
	return parts
}

// Config writes the configuration of parts: those that are on, or all of them.
func Config(parts []Part, all bool) string {
	var b strings.Builder
	b.WriteString("// The configuration that the collector runs without a path.\n")
	needsDocker := false
	for _, p := range parts {
		state := "on"
		if !p.On() {
			state = fmt.Sprintf("off: set it to switch this part on, e.g. to %s", p.Example)
		}
		fmt.Fprintf(&b, "//   %-9s %-44s %s (%s)\n", p.Signal, p.Does, p.Variable, state)
		needsDocker = needsDocker || p.docker && (all || p.On())
	}
	b.WriteString("\nlogging {\n\tlevel  = \"info\"\n\tformat = \"logfmt\"\n}\n")
	if needsDocker {
		b.WriteString("\n" + file("docker"))
	}
	for _, p := range parts {
		if all || p.On() {
			b.WriteString("\n" + file(p.Signal) + "\n" + file(p.Signal+"-destination"))
		}
	}
	return b.String()
}
