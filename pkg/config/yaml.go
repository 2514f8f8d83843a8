package config

import (
	"regexp"
	"strings"

	"collector/pkg/mask"
)

// yamlProperties are anchors and tags before a name or a value.
const yamlProperties = `(?:[&!][^\s,\[\]{}]*\s+)*`

// yamlKey finds the names in a line of YAML: at its beginning, behind dashes, and
// within brackets.
var yamlKey = regexp.MustCompile(`(?:^\s*(?:-\s+)*|[{,\[]\s*)` + yamlProperties + `(?:(?:"([^"]*)"|'([^']*)')\s*:|([^\s"'{}\[\],&*#:][^"'{}\[\],#:]*?)\s*:(?:\s|$))`)

// yamlBefore finds what precedes a name that is alone in its line.
var yamlBefore = regexp.MustCompile(`^\s*` + yamlProperties)

// yamlBlock finds a line whose value is the text of the lines that follow, indented.
var yamlBlock = regexp.MustCompile(`(?:[:-]|^)\s+` + yamlProperties + `[|>][-+0-9]*\s*(?:#.*)?$`)

// yamlPainter colors a YAML file, line by line.
type yamlPainter struct {
	open    yamlOpen
	secret  bool // what is open is, or has, a secret
	text    bool // the lines that are hidden are a block scalar
	hidden  int  // the indentation of a name whose value, which may have many lines, is a secret; -1 for none
	entries int  // the indentation of a name whose entries may be secrets; -1 for none
	of      string
}

// highlightYAML is Highlight of YAML. What is not certain to be harmless is hidden.
func highlightYAML(text string) [][]Piece {
	p := yamlPainter{hidden: -1, entries: -1}
	var out [][]Piece
	for line := range strings.SplitSeq(text, "\n") {
		out = append(out, p.line(line))
	}
	return out
}

func (p *yamlPainter) line(line string) []Piece {
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	blank := strings.TrimSpace(line) == ""
	switch {
	case blank:
		return pieces(Plain, line)
	case p.secret:
		p.follow(line)
		return append(pieces(Plain, line[:indent]), pieces(Hidden, line[indent:])...)
	case p.hidden >= 0 && (indent > p.hidden || indent == p.hidden && strings.ContainsRune("-:", rune(line[indent]))):
		if !p.text {
			p.follow(line)
		}
		return append(pieces(Plain, line[:indent]), pieces(Hidden, line[indent:])...)
	}
	p.hidden = -1
	out := p.names(line, indent)
	if p.hidden >= 0 {
		p.text = yamlBlock.MatchString(line)
		p.follow(line)
		return out
	}
	if p.open.scan(line); p.open.depth == 0 {
		p.open.quote = 0 // in a text that is no secret, it may be an apostrophe
	}
	return out
}

// follow notes whether a secret goes on in the line after this one.
func (p *yamlPainter) follow(line string) {
	p.open.scan(line)
	p.secret = p.open.open()
}

// names paints a line that doesn't belong to a secret above it.
func (p *yamlPainter) names(line string, indent int) []Piece {
	if indent <= p.entries {
		p.entries = -1
	}
	switch {
	case line[indent] == '#':
		return pieces(Comment, line)
	case line[indent] == '?': // a name whose value is in the next line
		if namesSecret(strings.Trim(yamlBefore.ReplaceAllString(line[indent+1:], ""), " \t\"'")) {
			p.hidden = indent
		}
		return pieces(Name, line)
	}
	return p.pairs(line, indent)
}

// pairs are the names in a line, with what follows them.
func (p *yamlPainter) pairs(line string, indent int) []Piece {
	var out []Piece
	at, within := 0, p.entries
	of := p.of
	for _, m := range yamlKey.FindAllStringSubmatchIndex(line, -1) {
		if m[0] < at {
			continue
		}
		start, end := m[2], m[3]
		for i := 4; i < len(m) && start < 0; i += 2 {
			start, end = m[i], m[i+1]
		}
		name := strings.TrimSpace(line[start:end])
		out = append(out, pieces(Plain, line[at:start])...)
		out = append(out, pieces(Name, line[start:end])...)
		at = end
		column := indent + strings.Count(line[indent:start], "- ")
		switch {
		case namesSecret(name) || name == "key" || name == "connection_string" || within >= 0 && mask.HidesEntry(of, name):
			p.hidden = column
			return append(out, p.conceal(line[at:])...)
		case mask.HidesEntries(name):
			p.entries, p.of = column, name
			within, of = column, name
		}
	}
	return append(out, p.value(line[at:])...)
}

// conceal hides what follows a name, up to the end of the line.
func (p *yamlPainter) conceal(rest string) []Piece {
	colon := strings.IndexByte(rest, ':') + 1
	blank := colon + len(rest[colon:]) - len(strings.TrimLeft(rest[colon:], " \t"))
	return append(pieces(Plain, rest[:blank]), pieces(Hidden, rest[blank:])...)
}

// value is what follows the last name of a line, with a comment perhaps.
func (p *yamlPainter) value(rest string) []Piece {
	if i := strings.Index(rest, " #"); i >= 0 && strings.Count(rest[:i], `"`)%2 == 0 && strings.Count(rest[:i], "'")%2 == 0 {
		return append(pieces(String, rest[:i]), pieces(Comment, rest[i:])...)
	}
	return pieces(String, rest)
}

func pieces(class Class, text string) []Piece {
	if text == "" {
		return nil
	}
	return []Piece{{class, shown(class, text)}}
}
