package process

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonPaths are the values that plain paths, such as "request.id", lead to. They
// are found in one pass over the text, which allocates nothing, and which gives up
// on what is rare: the library takes over then.
type jsonPaths struct {
	root   jsonNode
	values []Value
}

// jsonNode is a key on the way.
type jsonNode struct {
	key      string
	values   []int // indexes of the values that are here
	children []jsonNode
}

// maxScanDepth is the nesting at which the scanner gives up.
const maxScanDepth = 64

// newJSONPaths makes paths of JMESPath expressions. It returns nil if one of them
// is more than a path.
func newJSONPaths(expressions []string) *jsonPaths {
	plain := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)
	p := &jsonPaths{values: make([]Value, len(expressions))}
	for i, e := range expressions {
		if !plain.MatchString(e) {
			return nil
		}
		p.root.add(strings.Split(e, "."), i)
	}
	return p
}

func (n *jsonNode) add(path []string, value int) {
	if len(path) == 0 {
		n.values = append(n.values, value)
		return
	}
	child := n.child(path[0])
	if child == nil {
		n.children = append(n.children, jsonNode{key: path[0]})
		child = &n.children[len(n.children)-1]
	}
	child.add(path[1:], value)
}

func (n *jsonNode) child(key string) *jsonNode {
	for i := range n.children {
		if n.children[i].key == key {
			return &n.children[i]
		}
	}
	return nil
}

// find sets values to what is at the paths, null where there is nothing. It
// returns false if it gives up.
func (p *jsonPaths) find(text string) bool {
	clear(p.values)
	s := jsonScanner{text: text, values: p.values}
	s.blanks()
	if s.peek() != '{' || !s.object(&p.root, 0) {
		return false
	}
	s.blanks()
	return s.at == len(text)
}

// jsonScanner reads valid JSON; it gives up on all else.
type jsonScanner struct {
	text   string
	at     int
	values []Value
}

func (s *jsonScanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *jsonScanner) blanks() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// next reads a byte, after blanks.
func (s *jsonScanner) next(c byte) bool {
	s.blanks()
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// object reads an object of which n is wanted; nil: nothing is.
func (s *jsonScanner) object(n *jsonNode, depth int) bool {
	if !s.next('{') || depth > maxScanDepth {
		return false
	}
	if s.next('}') {
		return true
	}
	for {
		s.blanks()
		key, ok := s.str(n != nil)
		if !ok || !s.next(':') {
			return false
		}
		var child *jsonNode
		if n != nil {
			child = n.child(key)
		}
		if !s.value(child, depth+1) {
			return false
		}
		if s.next('}') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

func (s *jsonScanner) array(depth int) bool {
	if !s.next('[') || depth > maxScanDepth {
		return false
	}
	if s.next(']') {
		return true
	}
	for {
		if !s.value(nil, depth+1) {
			return false
		}
		if s.next(']') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

// value reads a value that n wants, or of which it wants parts; nil: nothing does.
func (s *jsonScanner) value(n *jsonNode, depth int) bool {
	s.blanks()
	v, ok := Value{}, false
	switch c := s.peek(); c {
	case '{':
		if n != nil && len(n.values) > 0 {
			return false
		}
		if n != nil {
			s.forget(n)
		}
		return s.object(n, depth)
	case '[':
		if n != nil && len(n.values) > 0 {
			return false
		}
		ok = s.array(depth)
	case '"':
		v.kind = kindText
		v.text, ok = s.str(n != nil)
	case 't':
		v, ok = Bool(true), s.word("true")
	case 'f':
		v, ok = Bool(false), s.word("false")
	case 'n':
		ok = s.word("null")
	default:
		v, ok = s.number(n != nil)
	}
	if n != nil {
		s.forget(n)
		for _, i := range n.values {
			s.values[i] = v
		}
	}
	return ok
}

// forget sets what was found at n, under an earlier key of the same name, to null.
func (s *jsonScanner) forget(n *jsonNode) {
	for _, i := range n.values {
		s.values[i] = Value{}
	}
	for i := range n.children {
		s.forget(&n.children[i])
	}
}

func (s *jsonScanner) word(w string) bool {
	if !strings.HasPrefix(s.text[s.at:], w) {
		return false
	}
	s.at += len(w)
	return true
}

// str reads a string.
func (s *jsonScanner) str(wanted bool) (string, bool) {
	if s.peek() != '"' {
		return "", false
	}
	start := s.at + 1
	for i := start; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.at = i + 1
			return s.text[start:i], true
		case c == '\\':
			s.at = start
			return s.escaped(i, wanted)
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// escaped reads the rest of a string in which the first escape is at a place. It
// gives up on halves of characters.
func (s *jsonScanner) escaped(first int, wanted bool) (string, bool) {
	var out []byte
	if wanted {
		out = append(make([]byte, 0, first-s.at+64), s.text[s.at:first]...)
	}
	for s.at = first; s.at < len(s.text); {
		c := s.text[s.at]
		s.at++
		switch {
		case c == '"':
			return string(out), true
		case c < ' ':
			return "", false
		case c == '\\':
			r, ok := s.escape()
			if !ok {
				return "", false
			}
			if wanted {
				out = utf8.AppendRune(out, r)
			}
		case wanted:
			out = append(out, c)
		}
	}
	return "", false
}

// escape reads what follows a backslash.
func (s *jsonScanner) escape() (rune, bool) {
	c := s.peek()
	s.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		if len(s.text)-s.at < 4 {
			return 0, false
		}
		n, err := strconv.ParseUint(s.text[s.at:s.at+4], 16, 16)
		s.at += 4
		return rune(n), err == nil && !utf16.IsSurrogate(rune(n))
	}
	return 0, false
}

// maxPlainNumber is the length up to which a number without an exponent is in range.
const maxPlainNumber = 300

// number reads a number, and makes a value of it if it is wanted.
func (s *jsonScanner) number(wanted bool) (v Value, ok bool) {
	start := s.at
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if s.digits() == 0 {
		return v, false
	}
	if s.peek() == '.' {
		s.at++
		if s.digits() == 0 {
			return v, false
		}
	}
	huge := s.at-start > maxPlainNumber
	if c := s.peek(); c == 'e' || c == 'E' {
		huge = true
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if s.digits() == 0 {
			return v, false
		}
	}
	if !wanted && !huge {
		return v, true
	}
	// The library refuses a document for a number that is out of range, wanted or not.
	f, err := strconv.ParseFloat(s.text[start:s.at], 64)
	return Number(f), err == nil
}

func (s *jsonScanner) digits() (n int) {
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
		n++
	}
	return n
}
