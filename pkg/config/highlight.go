package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/grafana/alloy/syntax/scanner"
	"github.com/grafana/alloy/syntax/token"

	"collector/pkg/mask"
)

// Class is what a piece of source is, for coloring it.
type Class string

// The classes.
const (
	Plain    Class = ""
	Comment  Class = "comment"
	String   Class = "string"
	Number   Class = "number"
	Keyword  Class = "keyword" // true, false, null
	Name     Class = "name"    // of an argument, or a key of an object
	Heading  Class = "block"   // the name of a block
	Function Class = "function"
	Hidden   Class = "secret" // asterisks in place of a secret
)

// Piece is a part of a line.
type Piece struct {
	Class Class
	Text  string
}

// Highlight is a source as it may be shown, line by line: colored, and with
// asterisks in the place of everything that looks like a credential. A source
// with errors in it is shown too.
func Highlight(s Source) [][]Piece {
	text := normalize(s.Text)
	if s.Original {
		return highlightYAML(string(text))
	}
	p := painter{text: string(text)}
	if err := guard(func() error { p.scan(text); return nil }); err != nil {
		p.lexemes = nil
	}
	p.classify()
	p.hide()
	return p.lines()
}

// shownLines are the lines of a source as they may be shown, each as long as it is.
func shownLines(text string, original bool) []string {
	var out []string
	for _, line := range Highlight(Source{Text: []byte(text), Original: original}) {
		var b strings.Builder
		for _, piece := range line {
			b.WriteString(piece.Text)
		}
		out = append(out, b.String())
	}
	return out
}

// lexeme is one token of the source.
type lexeme struct {
	start, end int
	token      token.Token
	class      Class
}

// painter colors one source.
type painter struct {
	text    string
	lexemes []lexeme
}

func (p *painter) scan(text []byte) {
	s := scanner.New(token.NewFile(""), text, nil, scanner.IncludeComments)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return
		}
		start := pos.Offset()
		end := start + max(len(lit), 1)
		if lit == "" {
			end = start + len(tok.String())
		}
		if tok == token.TERMINATOR {
			end = start
		}
		p.lexemes = append(p.lexemes, lexeme{start: start, end: min(end, len(p.text)), token: tok})
	}
}

// classify says of each token what it is.
func (p *painter) classify() {
	heading := p.headings()
	for i := range p.lexemes {
		l := &p.lexemes[i]
		switch l.token {
		case token.COMMENT:
			l.class = Comment
		case token.STRING, token.ILLEGAL:
			l.class = String
		case token.NUMBER, token.FLOAT:
			l.class = Number
		case token.BOOL, token.NULL:
			l.class = Keyword
		case token.IDENT:
			l.class = p.identifier(i)
		}
		if heading[i] {
			l.class = Heading
		}
	}
}

func (p *painter) identifier(i int) Class {
	switch p.tokenAt(i + 1) {
	case token.ASSIGN:
		return Name
	case token.LPAREN:
		return Function
	}
	return Plain
}

func (p *painter) tokenAt(i int) token.Token {
	if i < 0 || i >= len(p.lexemes) {
		return token.EOF
	}
	return p.lexemes[i].token
}

// headings finds the tokens of names of blocks: identifiers with dots between
// them, perhaps a label, and a brace.
func (p *painter) headings() map[int]bool {
	found := map[int]bool{}
	for i := 0; i < len(p.lexemes); i++ {
		if !p.begins(i) {
			continue
		}
		end := i
		for p.tokenAt(end) == token.IDENT && p.tokenAt(end+1) == token.DOT {
			end += 2
		}
		brace := end + 1
		if p.tokenAt(brace) == token.STRING {
			brace++
		}
		if p.tokenAt(end) == token.IDENT && p.tokenAt(brace) == token.LCURLY {
			for ; i <= end; i++ {
				found[i] = true
			}
		}
	}
	return found
}

// begins reports whether a statement may begin at i.
func (p *painter) begins(i int) bool {
	if p.tokenAt(i) != token.IDENT {
		return false
	}
	before := i - 1
	for p.tokenAt(before) == token.COMMENT {
		before--
	}
	return slices.Contains([]token.Token{token.EOF, token.TERMINATOR, token.LCURLY, token.RCURLY}, p.tokenAt(before))
}

// hide marks what follows the name of a secret, up to the end of its value.
func (p *painter) hide() {
	for i := 0; i < len(p.lexemes); i++ {
		if p.lexemes[i].class == Heading {
			if name := p.text[p.lexemes[i].start:p.lexemes[i].end]; p.tokenAt(i+1) == token.LCURLY && (name == "rule" || name == "write_relabel_config") {
				p.hideReplacement(i + 2)
			}
			continue
		}
		name, ok := p.key(i)
		switch {
		case !ok:
		case namesSecret(name) || name == "owner_auth":
			i = p.hideValue(i + 1)
		case mask.HidesEntries(name):
			i = p.hideEntries(i+1, name)
		}
	}
}

// key is the name of the argument or the member of an object that begins at i.
func (p *painter) key(i int) (name string, ok bool) {
	l := p.lexemes[i]
	ok = l.token == token.IDENT && (p.begins(i) || p.tokenAt(i+1) == token.ASSIGN) || l.token == token.STRING && p.tokenAt(i+1) == token.ASSIGN
	return strings.Trim(p.text[l.start:l.end], "\"`"), ok
}

// hideEntries hides the entries of a map called of that may not be shown, and
// returns where it ends. What is no map is hidden as a whole.
func (p *painter) hideEntries(i int, of string) int {
	if p.tokenAt(i+1) != token.LCURLY {
		return p.hideValue(i)
	}
	for i += 2; i < len(p.lexemes) && p.tokenAt(i) != token.RCURLY; i++ {
		name, ok := p.key(i)
		switch {
		case !ok || p.tokenAt(i+1) != token.ASSIGN:
		case mask.HidesEntry(of, name):
			i = p.hideValue(i+1) - 1
		default:
			i = p.valueEnd(i+1) - 1
		}
	}
	return i
}

// hideReplacement hides the replacement in the block that begins at i if it is a
// rule that writes to a label of which the value must not be shown.
func (p *painter) hideReplacement(i int) {
	replacement, secret := 0, false
	for depth := 0; i < len(p.lexemes) && depth >= 0; i++ {
		switch p.tokenAt(i) {
		case token.LCURLY:
			depth++
		case token.RCURLY:
			depth--
		}
		name, ok := p.key(i)
		switch {
		case !ok || depth != 0:
		case name == "replacement":
			replacement = i
		case name == "target_label" && i+2 < len(p.lexemes):
			l := p.lexemes[i+2]
			secret = namesSecret(strings.Trim(p.text[l.start:l.end], "\"`"))
		}
	}
	if secret && replacement > 0 {
		p.hideValue(replacement + 1)
	}
}

// hideValue hides the value that begins at i and returns where it ends.
func (p *painter) hideValue(i int) int {
	end := p.valueEnd(i)
	for ; i < end; i++ {
		l := &p.lexemes[i]
		switch l.token {
		case token.STRING, token.ILLEGAL, token.NUMBER, token.FLOAT:
			l.class = Hidden
		case token.IDENT:
			// A name in an expression is part of a path or a call. One that
			// is alone is a secret whose quotes were forgotten.
			path := p.tokenAt(i+1) == token.DOT || p.tokenAt(i-1) == token.DOT || p.tokenAt(i+1) == token.LPAREN || p.tokenAt(i+1) == token.ASSIGN
			if !path {
				l.class = Hidden
			}
		}
	}
	return end
}

// valueEnd is where the value that begins at i ends.
func (p *painter) valueEnd(i int) int {
	for depth := 0; i < len(p.lexemes); i++ {
		switch p.tokenAt(i) {
		case token.LCURLY, token.LBRACK, token.LPAREN:
			depth++
		case token.RCURLY, token.RBRACK, token.RPAREN:
			if depth--; depth < 0 {
				return i
			}
		case token.TERMINATOR, token.COMMA:
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// lines cuts the source into lines of pieces.
func (p *painter) lines() [][]Piece {
	out := [][]Piece{nil}
	at := 0
	for _, l := range p.lexemes {
		if l.start < at {
			continue
		}
		out = addText(out, Plain, p.text[at:l.start])
		out = addText(out, l.class, p.text[l.start:l.end])
		at = l.end
	}
	return addText(out, Plain, p.text[at:])
}

func addText(lines [][]Piece, class Class, text string) [][]Piece {
	for i, part := range strings.Split(text, "\n") {
		if i > 0 {
			lines = append(lines, nil)
		}
		if part == "" {
			continue
		}
		last := len(lines) - 1
		lines[last] = append(lines[last], Piece{class, shown(class, part)})
	}
	return lines
}

// secretRemark finds what a comment says a secret is.
var secretRemark = regexp.MustCompile(`(?i)(?:password|secret|token|credentials|passphrase|authorization|cookie|api[-_]?key)[\w-]*"?\s*[:=]\s*(.+)`)

func shown(class Class, text string) string {
	switch class {
	case Hidden:
		return strings.Repeat("*", len(text))
	case Comment:
		if m := secretRemark.FindStringSubmatchIndex(text); m != nil {
			text = text[:m[2]] + strings.Repeat("*", m[3]-m[2])
		}
	}
	if class == Comment || class == String || class == Plain {
		text = maskLine(text)
	}
	return text
}
