package process

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// LuhnConfig is the block stage.luhn.
type LuhnConfig struct {
	Replacement string  `alloy:"replacement,attr,optional"`
	Source      *string `alloy:"source,attr,optional"`
	MinLength   int     `alloy:"min_length,attr,optional"`
	Delimiters  string  `alloy:"delimiters,attr,optional"`
}

// Validate reports settings that can't work.
func (c *LuhnConfig) Validate() error {
	_, err := optionalSource(c.Source)
	return err
}

// luhn replaces numbers whose last digit is right by Luhn's algorithm, such as
// those of credit cards. As in Alloy, with a source the line becomes what is made
// of the source.
type luhn struct {
	cfg    LuhnConfig
	source string
}

func newLuhn(c LuhnConfig) (Stage, error) {
	source, err := optionalSource(c.Source)
	if c.Replacement == "" {
		c.Replacement = "**REDACTED**"
	}
	if c.MinLength < 1 {
		c.MinLength = 13
	}
	return &luhn{c, source}, err
}

func (s *luhn) Process(e *Entry, emit Emit) {
	text := e.Line
	if s.source != "" {
		v, ok := e.Extracted.Get(s.source)
		if !ok || v.kind != kindText {
			emit(e)
			return
		}
		text = v.text
	}
	e.Line = s.redact(text)
	emit(e)
}

// number is a run of digits, with delimiters between them and after them.
type number struct {
	start, end, digitsEnd int  // end includes the delimiters after the last digit
	size                  int  // of the digits, in bytes
	right                 bool // it fits an int, and its last digit is right
}

// redact copies the text only if there is something to replace.
func (s *luhn) redact(text string) string {
	var out strings.Builder
	copied := 0
	for at := 0; len(text)-at >= s.cfg.MinLength; {
		n, ok := s.number(text, at)
		if !ok {
			break
		}
		at = n.end
		if n.size < s.cfg.MinLength || !n.right {
			continue
		}
		if copied == 0 {
			out.Grow(len(text) + len(s.cfg.Replacement))
		}
		out.WriteString(text[copied:n.start])
		out.WriteString(s.cfg.Replacement)
		copied = n.end
		if n.digitsEnd < n.end { // the last delimiter is kept
			_, size := utf8.DecodeLastRuneInString(text[n.digitsEnd:n.end])
			copied -= size
		}
	}
	if copied == 0 {
		return text
	}
	out.WriteString(text[copied:])
	return out.String()
}

// number finds the next number.
func (s *luhn) number(text string, at int) (n number, ok bool) {
	sum := luhnSum{}
	for at < len(text) {
		c, size := rune(text[at]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRuneInString(text[at:])
		}
		switch {
		case isDigit(c):
			if n.size == 0 {
				n.start = at
			}
			n.size += size
			n.digitsEnd, n.end = at+size, at+size
			sum.add(c)
		case n.size == 0:
		case strings.ContainsRune(s.cfg.Delimiters, c):
			n.end = at + size
		default:
			n.right = sum.right()
			return n, true
		}
		at += size
	}
	n.right = sum.right()
	return n, n.size > 0
}

// isDigit reports whether c is a digit, of any script.
func isDigit(c rune) bool {
	return '0' <= c && c <= '9' || c >= utf8.RuneSelf && unicode.IsDigit(c)
}

// luhnSum makes the sum of Luhn's algorithm, digit by digit from the first.
type luhnSum struct {
	number       uint64
	other        bool // there was a digit that is not one of 0 to 9, or the number is too large
	odd, doubled int  // the sums if the number ends here: of digits as they are, and with the last one doubled
}

func (l *luhnSum) add(c rune) {
	d := int(c - '0')
	if d < 0 || d > 9 || l.number > (math.MaxInt64-uint64(d))/10 {
		l.other = true
		return
	}
	l.number = 10*l.number + uint64(d)
	twice := 2 * d
	if twice > 9 {
		twice -= 9
	}
	l.odd, l.doubled = l.doubled+d, l.odd+twice
}

func (l *luhnSum) right() bool { return !l.other && l.odd%10 == 0 }
