package dashboards

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checkTraceQL parses a selection of spans, such as { name = "a" && kind = server }.
// Tempo's own parser is not available as a Go module, so this is a separate, strict
// grammar: it accepts comparisons of an attribute with a value, joined by && and ||,
// negated by ! and grouped by parentheses. What it accepts, Tempo 2.8 accepts; it rejects
// pipelines.
func checkTraceQL(query string) error {
	p := &traceQL{rest: tokenize(query)}
	if err := p.selection(); err != nil {
		return err
	}
	if !p.at("") {
		return fmt.Errorf("%q follows the selection", p.rest[0])
	}
	return nil
}

var traceToken = regexp.MustCompile("^(?:" + strings.Join([]string{
	`"(?:[^"\\]|\\.)*"`,
	`&&|\|\||=~|!~|!=|>=|<=|[=<>!{}()]`,
	`\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h)?\b`,
	`(?:resource|span|parent|event|link|instrumentation)?\.(?:[A-Za-z_][\w./-]*|"(?:[^"\\]|\\.)*")+`,
	`[A-Za-z]\w*`,
}, "|") + ")")

// tokenize splits a query. What is no token ends the list, and is an error to
// any parser.
func tokenize(query string) []string {
	var out []string
	for {
		query = strings.TrimLeft(query, " \n\t")
		token := traceToken.FindString(query)
		if token == "" {
			if query != "" {
				out = append(out, query)
			}
			return out
		}
		out, query = append(out, token), query[len(token):]
	}
}

type traceQL struct{ rest []string }

// at reports whether the next token is this one; "" means the end.
func (p *traceQL) at(token string) bool {
	if len(p.rest) == 0 {
		return token == ""
	}
	return p.rest[0] == token
}

func (p *traceQL) take() string {
	if len(p.rest) == 0 {
		return ""
	}
	token := p.rest[0]
	p.rest = p.rest[1:]
	return token
}

func (p *traceQL) expect(token string) error {
	if got := p.take(); got != token {
		return fmt.Errorf("%q is where %q should be", got, token)
	}
	return nil
}

func (p *traceQL) selection() error {
	if err := p.expect("{"); err != nil {
		return err
	}
	if !p.at("}") {
		if err := p.condition(); err != nil {
			return err
		}
	}
	return p.expect("}")
}

func (p *traceQL) condition() error {
	for {
		if err := p.term(); err != nil {
			return err
		}
		if !p.at("&&") && !p.at("||") {
			return nil
		}
		p.take()
	}
}

func (p *traceQL) term() error {
	if p.at("!") {
		p.take()
		if !p.at("(") {
			return fmt.Errorf("write !(…)")
		}
	}
	if p.at("(") {
		p.take()
		if err := p.condition(); err != nil {
			return err
		}
		return p.expect(")")
	}
	return p.comparison()
}

// Enumerations that TraceQL has words for.
var (
	kinds    = []string{"unspecified", "internal", "server", "client", "producer", "consumer"}
	statuses = []string{"error", "ok", "unset"}
)

func (p *traceQL) comparison() error {
	attribute, operator, value := p.take(), p.take(), p.take()
	if !slices.Contains([]string{"=", "!=", "=~", "!~", ">", ">=", "<", "<="}, operator) {
		return fmt.Errorf("%q is no operator", operator)
	}
	got := valueKind(value)
	want := []string{"string", "number", "duration", "bool", "nil"} // what an attribute may hold
	switch attribute {
	case "name", "statusMessage", "rootName", "rootServiceName":
		want = []string{"string"}
	case "duration", "traceDuration":
		want = []string{"duration"}
	case "kind", "status":
		want = []string{attribute}
	default:
		if !isAttribute(attribute) {
			return fmt.Errorf("%q is no attribute", attribute)
		}
	}
	if !slices.Contains(want, got) {
		return fmt.Errorf("%s cannot be compared with %s", attribute, value)
	}
	return checkOperands(operator, value, got)
}

// isAttribute wants an existing scope: service.name alone has none.
func isAttribute(token string) bool {
	scope, _, found := strings.Cut(token, ".")
	return found && slices.Contains([]string{"", "resource", "span", "parent", "event", "link", "instrumentation"}, scope)
}

func checkOperands(operator, value, kind string) error {
	switch operator {
	case "=~", "!~":
		if kind != "string" {
			return fmt.Errorf("%s needs a string, not %s", operator, value)
		}
		pattern, err := strconv.Unquote(value)
		if err != nil {
			return fmt.Errorf("%s: %w", value, err)
		}
		if _, err := regexp.Compile(pattern); err != nil {
			return err
		}
	case ">", ">=", "<", "<=":
		if kind != "number" && kind != "duration" {
			return fmt.Errorf("%s needs a number or a duration, not %s", operator, value)
		}
	}
	return nil
}

// valueKind is the kind of value that a token is; "" for none.
func valueKind(token string) string {
	if strings.HasPrefix(token, `"`) {
		if _, err := strconv.Unquote(token); err == nil {
			return "string"
		}
		return ""
	}
	if _, err := strconv.ParseFloat(token, 64); err == nil {
		return "number"
	}
	if _, err := time.ParseDuration(token); err == nil {
		return "duration"
	}
	switch {
	case token == "true" || token == "false":
		return "bool"
	case token == "nil":
		return "nil"
	case slices.Contains(kinds, token):
		return "kind"
	case slices.Contains(statuses, token):
		return "status"
	}
	return ""
}
