package config

import "strings"

// yamlOpen follows brackets and quotes in YAML from line to line: what is within
// them goes on in the next line, however that is indented. Text that only looks
// like YAML, as within a block scalar, may open more than there is; what is open
// closes too late then, and not too early.
type yamlOpen struct {
	depth int  // of brackets
	quote byte // that is open; 0 for none
	start bool // a value may start here
}

// open reports whether something goes on in the next line.
func (o *yamlOpen) open() bool { return o.depth > 0 || o.quote != 0 }

// scan follows a line. Where nothing is open, it starts a value.
func (o *yamlOpen) scan(line string) {
	if !o.open() {
		o.start = true
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		blankNext := i+1 == len(line) || line[i+1] == ' ' || line[i+1] == '\t'
		switch {
		case o.quote != 0:
			switch {
			case o.quote == '"' && c == '\\':
				i++
			case c == o.quote:
				o.quote, o.start = 0, true // another one is a quote within quotes
			}
		case c == ' ' || c == '\t':
		case c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
			return
		case o.start && (c == '"' || c == '\''):
			o.quote = c
		case o.start && (c == '{' || c == '['), o.depth > 0 && (c == '{' || c == '['):
			o.depth++
			o.start = true
		case o.depth > 0 && (c == '}' || c == ']'):
			o.depth--
			o.start = o.depth > 0
		case o.depth > 0 && c == ',', c == ':' && (blankNext || o.start):
			o.start = true
		case o.start && (c == '-' || c == '?') && blankNext:
		case o.start && (c == '&' || c == '!'): // an anchor or a tag precedes the value
			i += strings.IndexAny(line[i:]+" ", " \t,[]{}") - 1
		default:
			o.start = false
		}
	}
}
