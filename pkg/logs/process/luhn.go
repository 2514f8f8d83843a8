package process

import (
	"strconv"
	"strings"
	"unicode"
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
	start, end, digitsEnd int // end includes the delimiters after the last digit
	digits                []byte
}

// redact copies the text only if there is something to replace.
func (s *luhn) redact(text string) string {
	var out strings.Builder
	copied := 0
	for at := 0; at < len(text); {
		n, ok := s.number(text, at)
		if !ok {
			break
		}
		at = n.end
		if len(n.digits) < s.cfg.MinLength || !isLuhn(string(n.digits)) {
			continue
		}
		out.WriteString(text[copied:n.start])
		out.WriteString(s.cfg.Replacement)
		copied = n.end
		if n.digitsEnd < n.end { // the last delimiter is kept
			_, size := lastRune(text[n.digitsEnd:n.end])
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
func (s *luhn) number(text string, from int) (n number, ok bool) {
	for i, c := range text[from:] {
		i += from
		switch {
		case unicode.IsDigit(c):
			if n.digits == nil {
				n.start = i
			}
			n.digits = append(n.digits, string(c)...)
			n.digitsEnd = i + len(string(c))
			n.end = n.digitsEnd
		case n.digits == nil:
		case strings.ContainsRune(s.cfg.Delimiters, c):
			n.end = i + len(string(c))
		default:
			return n, true
		}
	}
	return n, n.digits != nil
}

func lastRune(s string) (r rune, size int) {
	for i, c := range s {
		r, size = c, len(s)-i
	}
	return r, size
}

// isLuhn reports whether digits are a number that fits an int, and right.
func isLuhn(digits string) bool {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return false
	}
	sum := 0
	for double := false; n > 0; double = !double {
		d := n % 10
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n /= 10
	}
	return sum%10 == 0
}
