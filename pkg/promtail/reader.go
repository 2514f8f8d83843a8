package promtail

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"collector/pkg/config"
)

// maxValues bounds the values in a file. With aliases, these may be more than are written
// in it.
const maxValues = 200_000

// maxDepth bounds how deep values nest.
const maxDepth = 100

// reader reads a YAML file and records what is wrong with it.
type reader struct {
	file    config.Source
	options Options
	notes   config.Diagnostics
	left    int // of maxValues
}

func newReader(file config.Source, o Options) *reader {
	return &reader{file: file, options: o, left: maxValues}
}

// yamlLine finds where a syntax error is.
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?:\w.* at line (\d+), column \d+: )?(.*)$`)

// parse returns the mapping that the file is, or nil.
func (r *reader) parse() *yaml.Node {
	text := string(r.file.Text)
	if r.options.ExpandEnv {
		expanded, err := r.expand(text)
		if err != nil {
			r.notes = append(r.notes, config.Diagnostic{At: r.file.At(err.line, 0, 0), Message: "expand environment variables: " + err.message})
			return nil
		}
		text = expanded
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		r.syntaxError(err, text)
		return nil
	}
	if len(document.Content) == 0 {
		r.notes = append(r.notes, config.Diagnostic{At: r.file.At(0, 0, 0), Message: "the file is empty"})
		return nil
	}
	root := document.Content[0]
	if !r.fits(root, 0) {
		r.fail(root, "", "the file expands too far: aliases repeat more than %d values, or values nest more than %d levels deep", maxValues, maxDepth)
		return nil
	}
	root = resolved(root)
	if root.Kind != yaml.MappingNode {
		r.fail(root, "", "this is not a Promtail file, which has sections such as clients and scrape_configs")
		return nil
	}
	if key, what := foreign(root); what != "" {
		r.fail(key, "", "%s", what)
		return nil
	}
	return root
}

// foreign is what a file is, if it is somebody else's: the key by which it is known,
// and what to do with it.
func foreign(root *yaml.Node) (key *yaml.Node, what string) {
	keys := map[string]*yaml.Node{}
	for i := 0; i < len(root.Content); i += 2 {
		keys[root.Content[i].Value] = root.Content[i]
	}
	known := []struct{ key, what string }{
		{"remote_write", "this is a file of Prometheus; `alloy convert --source-format=prometheus` converts it"},
		{"apiVersion", "this is a Kubernetes manifest; run the Promtail file that it has in its data"},
		{"services", "this is a Compose file; run the Promtail file that it mounts"},
		{"receivers", "this is a file of the OpenTelemetry Collector; `alloy convert --source-format=otelcol` converts it"},
		{"logs", "this is a file of Grafana Agent; `alloy convert --source-format=static` converts it"},
		{"metrics", "this is a file of Grafana Agent; `alloy convert --source-format=static` converts it"},
		{"config", "these are the values of a Helm chart; run the Promtail file that `helm template` makes of them"},
		{"promtail", "these are the values of a Helm chart; run the Promtail file that `helm template` makes of them"},
	}
	for _, k := range known {
		if key := keys[k.key]; key != nil && keys["clients"] == nil && keys["client"] == nil && keys["positions"] == nil {
			return key, k.what
		}
	}
	return nil, ""
}

func (r *reader) syntaxError(err error, text string) {
	message, line := err.Error(), 0
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1] + m[2])
		message = m[3]
	}
	if strings.HasPrefix(message, "did not find expected") {
		line = brokenLine(text, line)
	}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		message = strings.Join(typed.Errors, "; ")
	}
	switch {
	case strings.Contains(lineOfText(text, line), "{{"), strings.Contains(lineOfText(text, line), "{%"):
		message += "; it looks like a template: render it first"
	case strings.Contains(text, "${") && !r.options.ExpandEnv:
		message += "; set -config.expand-env to replace ${NAME} by environment variables"
	case message == "found unknown escape character":
		message += `; write the text in single quotes, or two backslashes for one`
	}
	r.notes = append(r.notes, config.Diagnostic{At: r.file.At(line, 0, 0), Message: "this is not valid YAML: " + message})
}

// maxSearched bounds how many bytes brokenLine reads, of all attempts.
const maxSearched = 8 << 20

// brokenLine is the line after the longest beginning of a text that can be parsed.
// The parser itself tells where the list or mapping begins that it is in, one line
// too early: what is told then.
func brokenLine(text string, told int) int {
	lines := strings.SplitAfter(text, "\n")
	for n, read := len(lines)-1, 0; n > told && read < maxSearched; n-- {
		text = strings.TrimSuffix(text, lines[n])
		read += len(text)
		var document yaml.Node
		if yaml.Unmarshal([]byte(text), &document) == nil {
			return n + 1
		}
	}
	return told + 1
}

// lineOfText is a line of a text, from 1; all of it if there is none.
func lineOfText(text string, line int) string {
	if lines := strings.Split(text, "\n"); line > 0 && line <= len(lines) {
		return lines[line-1]
	}
	return text
}

// fits reports whether n is small enough, with its aliases resolved, which may
// repeat each other.
func (r *reader) fits(n *yaml.Node, depth int) bool {
	if r.left--; r.left < 0 || depth > maxDepth {
		return false
	}
	if n.Kind == yaml.AliasNode {
		return r.fits(n.Alias, depth+1)
	}
	for _, child := range n.Content {
		if !r.fits(child, depth+1) {
			return false
		}
	}
	return true
}

// resolved is n, or what it is an alias of.
func resolved(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// isNull reports whether n says nothing.
func isNull(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// fail records an error at n; path is where that is, in words.
func (r *reader) fail(n *yaml.Node, path, format string, args ...any) {
	r.note(config.Error, n, path, fmt.Sprintf(format, args...))
}

// warn records what has no effect, or another one than in Promtail.
func (r *reader) warn(n *yaml.Node, path, format string, args ...any) {
	r.note(config.Warning, n, path, fmt.Sprintf(format, args...))
}

// unsupported records what cannot be done. It is an error unless the user chose to skip
// such settings.
func (r *reader) unsupported(n *yaml.Node, path, format string, args ...any) {
	severity := config.Error
	if r.options.Lenient {
		severity = config.Warning
	}
	r.note(severity, n, path, fmt.Sprintf(format, args...))
}

func (r *reader) note(severity config.Severity, n *yaml.Node, path, message string) {
	if path != "" {
		message = path + ": " + message
	}
	at := r.file.At(0, 0, 0)
	switch {
	case n == nil:
	case n.Line == 0: // of the command line
		message = strings.TrimPrefix(n.HeadComment, "#") + ": " + message
	default:
		at = r.file.At(n.Line, n.Column, len(n.Value))
	}
	r.notes = append(r.notes, config.Diagnostic{Severity: severity, At: at, Message: message})
}
