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
	return root
}

func (r *reader) syntaxError(err error, text string) {
	message, line := err.Error(), 0
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1] + m[2])
		message = m[3]
	}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		message = strings.Join(typed.Errors, "; ")
	}
	message = "this is not valid YAML: " + message
	switch {
	case strings.Contains(text, "{{"):
		message += "; it looks like a template: render it first"
	case strings.Contains(text, "${") && !r.options.ExpandEnv:
		message += "; set -config.expand-env to replace ${NAME} by environment variables"
	}
	r.notes = append(r.notes, config.Diagnostic{At: r.file.At(line, 0, 0), Message: message})
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
