// Package expression finds regular expressions in log lines, with the results of
// package regexp and in a fraction of its time.
//
// Most expressions for log lines are sequences of texts and of runs of characters,
// such as
//
//	^(?P<ip>\S+) \S+ "(?P<method>\w+) (?P<path>\S+)[^"]*" (?P<status>\d+)
//
// in which the character after a run says where the run ends. They are compiled for a
// matcher that tries one way after the other, in the order of their preference, which is
// what Perl does and what package regexp promises. Package regexp does whatever it can't
// do, or can't do quickly.
package expression

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Expression is a compiled expression. It is not safe for concurrent use.
type Expression struct {
	*regexp.Regexp

	match program // without groups, and without what it may match but needn't; nil: there is none
	find  program // likewise, with all
	run   machine
	slow  int // grows when the matcher gives up
	rest  int // calls that are still left to package regexp
}

// Compile compiles an expression.
func Compile(text string) (*Expression, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	x := &Expression{Regexp: re}
	if parsed, err := syntax.Parse(text, syntax.Perl); err == nil {
		x.find = compile(parsed, false)
		x.match = compile(parsed, true)
	}
	x.run.groups = make([]int, 2*(re.NumSubexp()+1))
	return x, nil
}

// MustCompile compiles an expression that has been checked.
func MustCompile(text string) *Expression {
	x, err := Compile(text)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return x
}

const (
	// maxText is the length of texts beyond which the matcher isn't used.
	maxText = 64 << 10
	// An expression for which the matcher gives up in more than one of gaveUp calls is
	// left to package regexp for the next restFor calls, when slow has passed tooSlow.
	gaveUp  = 16
	tooSlow = 20 * gaveUp
	restFor = 1000
)

// excluded reports whether it is clear at once that there is no match.
func (p *program) excluded(text string) bool {
	switch {
	case p.begins:
		return (text == "" || text[0] < utf8.RuneSelf) && !p.head.allows(text, 0)
	case p.literal != "":
		return !strings.Contains(text, p.literal)
	}
	return false
}

// usable reports whether the matcher can find what p finds in a text.
func (x *Expression) usable(p *program, text string) bool {
	if p.code == nil || len(text) > maxText {
		return false
	}
	if x.rest > 0 {
		x.rest--
		return false
	}
	ascii := isASCII(text)
	if !ascii && (p.ascii || !utf8.ValidString(text)) {
		return false
	}
	x.run.text, x.run.ascii = text, ascii
	return true
}

// gives counts how often the matcher gives up.
func (x *Expression) gives(up bool) {
	switch {
	case up:
		if x.slow += gaveUp; x.slow > tooSlow {
			x.slow, x.rest = tooSlow-gaveUp, restFor
		}
	case x.slow > 0:
		x.slow--
	}
}

// MatchString reports whether the text contains a match.
func (x *Expression) MatchString(text string) bool {
	if x.match.excluded(text) {
		return false
	}
	if x.usable(&x.match, text) {
		found, ok := x.run.search(&x.match, 0)
		x.run.forget()
		if x.gives(!ok); ok {
			return found
		}
	}
	return x.Regexp.MatchString(text)
}

// FindStringSubmatchIndex returns where the first match and its groups are, as that of
// package regexp does. The result is valid until the next call.
func (x *Expression) FindStringSubmatchIndex(text string) []int {
	if x.find.excluded(text) {
		return nil
	}
	if x.usable(&x.find, text) {
		found, ok := x.run.search(&x.find, 0)
		x.run.forget()
		switch x.gives(!ok); {
		case ok && found:
			return x.run.groups
		case ok:
			return nil
		}
	}
	return x.Regexp.FindStringSubmatchIndex(text)
}

// FindAllStringSubmatchIndex returns where all matches and their groups are.
func (x *Expression) FindAllStringSubmatchIndex(text string) [][]int {
	if !x.MatchString(text) {
		return nil
	}
	if !x.usable(&x.find, text) {
		return x.Regexp.FindAllStringSubmatchIndex(text, -1)
	}
	defer x.run.forget()
	var all [][]int
	for at, last := 0, -1; at <= len(text); {
		found, ok := x.run.search(&x.find, at)
		if x.gives(!ok); !ok {
			return x.Regexp.FindAllStringSubmatchIndex(text, -1)
		}
		if !found {
			break
		}
		begin, end := x.run.groups[0], x.run.groups[1]
		if end != at || begin != last { // there is no empty match right after another one
			all = append(all, slices.Clone(x.run.groups))
		}
		if end != at {
			at = end
		} else {
			_, size := utf8.DecodeRuneInString(text[at:])
			at += max(1, size)
		}
		last = end
	}
	return all
}

// isASCII looks at eight bytes at once.
func isASCII(s string) bool {
	for len(s) >= 8 {
		if (s[0]|s[1]|s[2]|s[3]|s[4]|s[5]|s[6]|s[7])&0x80 != 0 {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
