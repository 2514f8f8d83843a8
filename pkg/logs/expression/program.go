package expression

import (
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// program is what the matcher runs. It begins at the first instruction.
type program struct {
	code  []instruction
	ascii bool // it is true of texts in ASCII only

	first   *set // what a match begins with; nil: with anything, or nothing
	begins  bool // a match is at the beginning of the text, and head what may be there
	head    lookahead
	literal string // a match begins with it
	run     *set   // a match begins with all of these that there are
}

// instruction is a step of a program. All but split, jump and accept go on with the
// next one.
type instruction struct {
	op   op
	text string // of literal
	set  *set   // of one and run
	min  int    // of run
	max  int    // likewise; -1: there is no limit
	lazy bool   // likewise: as few as possible
	x, y int    // of split: x is tried first; of jump: x; of group: x is its number

	next   lookahead // of run: of what follows; of split: of x
	other  lookahead // of split: of y
	single bool      // of run: there is only one place where it can end
}

type op byte

const (
	opAccept    op = iota
	opLiteral      // a text
	opOne          // a character of a set
	opRun          // characters of a set
	opSplit        // one way or the other
	opJump         // on elsewhere
	opGroup        // a group begins or ends
	opBegin        // the beginning of the text
	opEnd          // its end
	opBeginLine    // the beginning of a line
	opEndLine      // its end
	opWord         // the beginning or the end of a word
	opNoWord       // neither
)

// set says of each byte whether it is in it; of characters beyond ASCII, all are or
// none is.
type set [256]bool

func (s *set) wide() bool { return s[utf8.RuneSelf] }

// lookahead is what may come next.
type lookahead struct {
	set *set
	end bool // the end of the text may
	any bool // whatever comes, it may be right
}

func (l *lookahead) allows(text string, at int) bool {
	switch {
	case l.any:
		return true
	case at < len(text):
		return l.set[text[at]]
	}
	return l.end
}

// maxCode bounds the instructions of a program.
const maxCode = 1000

// compiler makes a program. It is bad when there is something that no program does.
type compiler struct {
	program
	bad  bool
	bare bool // without groups
}

// compile compiles an expression. Without instructions, the program can't be used. A bare
// one only reports whether there is a match.
func compile(re *syntax.Regexp, bare bool) program {
	c := &compiler{bare: bare}
	if bare {
		re = stripped(re)
	}
	c.add(re)
	c.emit(instruction{op: opAccept})
	if c.bad {
		return program{}
	}
	c.look()
	return c.program
}

// stripped removes what is at the ends of an expression and may match nothing, which
// doesn't matter to whether there is a match.
func stripped(re *syntax.Regexp) *syntax.Regexp {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	optional := func(re *syntax.Regexp) bool {
		for re.Op == syntax.OpCapture {
			re = re.Sub[0]
		}
		return (re.Op == syntax.OpStar || re.Op == syntax.OpQuest) && len(re.Sub) == 1 && !asserts(re.Sub[0])
	}
	switch {
	case optional(re):
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	case re.Op != syntax.OpConcat:
		return re
	}
	subs := slices.Clone(re.Sub)
	for len(subs) > 0 && optional(subs[0]) {
		subs = subs[1:]
	}
	for len(subs) > 0 && optional(subs[len(subs)-1]) {
		subs = subs[:len(subs)-1]
	}
	return &syntax.Regexp{Op: syntax.OpConcat, Flags: re.Flags, Sub: subs}
}

// asserts reports whether there is something in an expression that looks at the text
// around a place.
func asserts(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(re.Sub, asserts)
}

func (c *compiler) emit(i instruction) int {
	if len(c.code) >= maxCode {
		c.bad = true
		return 0
	}
	c.code = append(c.code, i)
	return len(c.code) - 1
}

func (c *compiler) add(re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpEmptyMatch:
	case syntax.OpLiteral:
		c.literalOf(re)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		c.emit(instruction{op: opOne, set: c.setOf(re)})
	case syntax.OpBeginText:
		c.emit(instruction{op: opBegin})
	case syntax.OpEndText:
		c.emit(instruction{op: opEnd})
	case syntax.OpBeginLine:
		c.emit(instruction{op: opBeginLine})
	case syntax.OpEndLine:
		c.emit(instruction{op: opEndLine})
	case syntax.OpWordBoundary:
		c.emit(instruction{op: opWord})
	case syntax.OpNoWordBoundary:
		c.emit(instruction{op: opNoWord})
	case syntax.OpCapture:
		c.group(re)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			c.add(sub)
		}
	case syntax.OpAlternate:
		c.alternate(re.Sub)
	case syntax.OpStar:
		c.repeat(re, 0, -1)
	case syntax.OpPlus:
		c.repeat(re, 1, -1)
	case syntax.OpQuest:
		c.repeat(re, 0, 1)
	case syntax.OpRepeat:
		c.repeat(re, re.Min, re.Max)
	default:
		c.bad = true
	}
}

func (c *compiler) group(re *syntax.Regexp) {
	if c.bare {
		c.add(re.Sub[0])
		return
	}
	c.emit(instruction{op: opGroup, x: 2 * re.Cap})
	c.add(re.Sub[0])
	c.emit(instruction{op: opGroup, x: 2*re.Cap + 1})
}

// literalOf adds a text. Package regexp takes bytes that aren't UTF-8 for U+FFFD, and
// finds no half of a surrogate pair, neither of which a comparison of bytes does.
func (c *compiler) literalOf(re *syntax.Regexp) {
	if slices.ContainsFunc(re.Rune, func(r rune) bool { return r == utf8.RuneError || !utf8.ValidRune(r) }) {
		c.bad = true
		return
	}
	if re.Flags&syntax.FoldCase == 0 && len(re.Rune) > 0 {
		c.emit(instruction{op: opLiteral, text: string(re.Rune)})
		return
	}
	for _, r := range re.Rune {
		c.emit(instruction{op: opOne, set: c.fold(r)})
	}
}

// fold is a character in upper and lower case.
func (c *compiler) fold(r rune) *set {
	s := new(set)
	for f := unicode.SimpleFold(r); ; f = unicode.SimpleFold(f) {
		if f < utf8.RuneSelf {
			s[f] = true
		} else {
			c.ascii = true
		}
		if f == r {
			return s
		}
	}
}

// setOf is the set of an expression for one character. Where there are some
// characters beyond ASCII in it and others not, the program is for ASCII.
func (c *compiler) setOf(re *syntax.Regexp) *set {
	s := new(set)
	ranges := re.Rune
	switch {
	case re.Op == syntax.OpAnyChar:
		ranges = []rune{0, unicode.MaxRune}
	case re.Op == syntax.OpAnyCharNotNL:
		ranges = []rune{0, '\n' - 1, '\n' + 1, unicode.MaxRune}
	case re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase != 0:
		return c.fold(re.Rune[0])
	case re.Op == syntax.OpLiteral:
		ranges = []rune{re.Rune[0], re.Rune[0]}
	}
	for i := 0; i+1 < len(ranges); i += 2 {
		low, high := ranges[i], ranges[i+1]
		for r := low; r <= min(high, utf8.RuneSelf-1); r++ {
			s[r] = true
		}
		switch {
		case high < utf8.RuneSelf:
		case low <= utf8.RuneSelf && high == unicode.MaxRune:
			for b := utf8.RuneSelf; b < len(s); b++ {
				s[b] = true
			}
		default:
			c.ascii = true
		}
	}
	return s
}

// character reports whether an expression is for one character.
func character(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	}
	return re.Op == syntax.OpLiteral && len(re.Rune) == 1
}

func (c *compiler) alternate(subs []*syntax.Regexp) {
	var jumps []int
	for i, sub := range subs {
		if i == len(subs)-1 {
			c.add(sub)
			break
		}
		split := c.emit(instruction{op: opSplit})
		c.add(sub)
		jumps = append(jumps, c.emit(instruction{op: opJump}))
		if c.bad {
			return
		}
		c.code[split].x, c.code[split].y = split+1, len(c.code)
	}
	for _, j := range jumps {
		c.code[j].x = len(c.code)
	}
}

// repeat adds what comes several times; a max of -1 is no limit.
func (c *compiler) repeat(re *syntax.Regexp, least, most int) {
	sub, lazy := re.Sub[0], re.Flags&syntax.NonGreedy != 0
	if character(sub) {
		c.emit(instruction{op: opRun, set: c.setOf(sub), min: least, max: most, lazy: lazy})
		return
	}
	if most != 1 && mayBeEmpty(sub) {
		c.bad = true // what package regexp does then isn't what a matcher like this does
		return
	}
	for range least {
		if c.add(sub); c.bad {
			return
		}
	}
	if most < 0 {
		split := c.emit(instruction{op: opSplit})
		c.add(sub)
		c.emit(instruction{op: opJump, x: split})
		c.branch(split, lazy)
		return
	}
	var splits []int
	for range most - least {
		splits = append(splits, c.emit(instruction{op: opSplit}))
		if c.add(sub); c.bad {
			return
		}
	}
	for _, split := range splits {
		c.branch(split, lazy)
	}
}

// branch makes a split one between what follows it, and the instruction to come.
func (c *compiler) branch(split int, lazy bool) {
	if c.bad {
		return
	}
	s := &c.code[split]
	if s.x, s.y = split+1, len(c.code); lazy {
		s.x, s.y = s.y, s.x
	}
}

// mayBeEmpty reports whether an expression may match nothing, as far as it is known.
func mayBeEmpty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune) == 0
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return mayBeEmpty(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || mayBeEmpty(re.Sub[0])
	case syntax.OpConcat:
		return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !mayBeEmpty(s) })
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, mayBeEmpty)
	}
	return true
}

// look finds out what may come at each place.
func (c *compiler) look() {
	for i := range c.code {
		in := &c.code[i]
		switch in.op {
		case opRun:
			in.next = c.ahead(i + 1)
			in.single = !in.next.any && disjoint(in.set, in.next.set)
		case opSplit:
			in.next, in.other = c.ahead(in.x), c.ahead(in.y)
		}
	}
	start := 0
	for c.code[start].op == opGroup {
		start++
	}
	switch in := &c.code[start]; {
	case in.op == opBegin:
		c.begins, c.head = true, c.ahead(start+1)
	case in.op == opLiteral:
		c.literal = in.text
	case in.op == opRun && in.max < 0:
		c.run = in.set
	}
	if l := c.ahead(0); !l.any && !l.end {
		c.first = l.set
	}
}

func disjoint(a, b *set) bool {
	for i := range a {
		if a[i] && b[i] {
			return false
		}
	}
	return true
}

// ahead is what may come at an instruction.
func (c *compiler) ahead(at int) lookahead {
	l := lookahead{set: new(set)}
	seen := make([]bool, len(c.code))
	var walk func(at int)
	walk = func(at int) {
		for !seen[at] {
			seen[at] = true
			in := &c.code[at]
			switch in.op {
			case opLiteral:
				l.set[in.text[0]] = true
				return
			case opOne:
				l.set.add(in.set)
				return
			case opRun:
				if l.set.add(in.set); in.min > 0 {
					return
				}
			case opSplit:
				walk(in.x)
				at = in.y
				continue
			case opJump:
				at = in.x
				continue
			case opEnd:
				l.end = true
				return
			case opGroup:
			default: // something that looks around, or accept
				l.any = true
				return
			}
			at++
		}
	}
	walk(at)
	return l
}

func (s *set) add(of *set) {
	for i := range s {
		s[i] = s[i] || of[i]
	}
}
