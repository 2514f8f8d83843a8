package expression

import (
	"strings"
	"unicode/utf8"
)

// machine runs programs. It can be used again and again.
type machine struct {
	text   string
	ascii  bool // all of the text is
	code   []instruction
	groups []int
	undo   []undone // previous values of groups, since the search began
	steps  int      // left until it gives up
}

type undone struct{ group, was int }

// What the machine may do for a text, beyond which package regexp is just as good. Each
// way that is tried inside another one takes stack, which a line must not make large.
const (
	fewSteps     = 200
	stepsPerByte = 4
	maxDepth     = 1000
	maxUndo      = 256 // 4 KiB
)

// search looks for the first match from a place on, and sets groups. It returns !ok
// when it gives up.
func (m *machine) search(p *program, from int) (found, ok bool) {
	m.code, m.steps = p.code, fewSteps+stepsPerByte*len(m.text)
	for at := from; at <= len(m.text); at++ {
		if p.begins && at > 0 {
			return false, true
		}
		if at = m.start(p, at); at < 0 {
			return false, true
		}
		for i := range m.groups {
			m.groups[i] = -1
		}
		m.undo = m.undo[:0]
		if end := m.match(0, at, 0); end >= 0 {
			m.groups[0], m.groups[1] = at, end
			return true, true
		}
		if m.steps < 0 {
			return false, false
		}
		if p.run != nil && at < len(m.text) && p.run[m.text[at]] {
			// A match that began later in the run could begin here as well.
			for at++; at < len(m.text) && p.run[m.text[at]]; at++ {
			}
			at--
		}
	}
	return false, true
}

// start is the next place where a match may begin; -1: there is none.
func (m *machine) start(p *program, at int) int {
	switch {
	case p.literal != "":
		i := strings.Index(m.text[at:], p.literal)
		if i < 0 {
			return -1
		}
		return at + i
	case p.first != nil:
		for ; at < len(m.text) && !p.first[m.text[at]]; at++ {
		}
		if at == len(m.text) {
			return -1
		}
	}
	for !m.ascii && at < len(m.text) && !utf8.RuneStart(m.text[at]) {
		at++
	}
	return at
}

// match returns where the match that begins at an instruction and a place ends; -1:
// there is none, or the machine gives up. depth is how many ways are open.
func (m *machine) match(pc, at, depth int) int {
	if depth > maxDepth {
		m.steps = -1
		return -1
	}
	for {
		if m.steps--; m.steps < 0 {
			return -1
		}
		in := &m.code[pc]
		pc++
		switch in.op {
		case opAccept:
			return at
		case opLiteral:
			if !strings.HasPrefix(m.text[at:], in.text) {
				return -1
			}
			at += len(in.text)
		case opOne:
			if at == len(m.text) || !in.set[m.text[at]] {
				return -1
			}
			at += m.width(at)
		case opRun:
			if !in.single {
				return m.runs(in, pc, at, depth)
			}
			if at = m.longest(in, at); at < 0 || !in.next.allows(m.text, at) {
				return -1
			}
		case opSplit:
			switch {
			case !in.next.allows(m.text, at):
				pc = in.y
			case !in.other.allows(m.text, at):
				pc = in.x
			default:
				before := len(m.undo)
				if end := m.match(in.x, at, depth+1); end >= 0 || m.steps < 0 {
					return end
				}
				m.revert(before)
				pc = in.y
			}
		case opJump:
			pc = in.x
		case opGroup:
			m.undo = append(m.undo, undone{in.x, m.groups[in.x]})
			m.groups[in.x] = at
		default:
			if !m.holds(in.op, at) {
				return -1
			}
		}
	}
}

// forget drops what the last text is kept by, and the memory that only a long one needs.
func (m *machine) forget() {
	m.text = ""
	if cap(m.undo) > maxUndo {
		m.undo = nil
	}
}

func (m *machine) revert(to int) {
	for len(m.undo) > to {
		last := m.undo[len(m.undo)-1]
		m.groups[last.group] = last.was
		m.undo = m.undo[:len(m.undo)-1]
	}
}

// width is the size of the character at a place.
func (m *machine) width(at int) int {
	if m.text[at] < utf8.RuneSelf {
		return 1
	}
	_, size := utf8.DecodeRuneInString(m.text[at:])
	return size
}

// bytewise reports whether the characters of a run are bytes, or needn't be counted.
func (m *machine) bytewise(in *instruction) bool {
	return m.ascii || !in.set.wide() || in.max < 0 && in.min <= 1
}

// longest is where the longest run from a place ends; -1: it is too short.
func (m *machine) longest(in *instruction, at int) int {
	end, n := at, 0
	if m.bytewise(in) {
		limit := len(m.text)
		if in.max >= 0 {
			limit = min(limit, at+in.max)
		}
		for text := m.text[:limit]; end < len(text) && in.set[text[end]]; {
			end++
		}
		n = end - at
	} else {
		for end < len(m.text) && n != in.max && in.set[m.text[end]] {
			end += m.width(end)
			n++
		}
	}
	m.steps -= (end - at) >> 3
	if n < in.min {
		return -1
	}
	return end
}

// runs tries the places at which a run may end, in the order of preference.
func (m *machine) runs(in *instruction, pc, at, depth int) int {
	end := m.longest(in, at)
	if end < 0 {
		return -1
	}
	first := at
	for range in.min {
		first += m.width(first)
	}
	before := len(m.undo)
	step, to := -1, end
	if in.lazy {
		step, to = 1, first
	}
	for ; to >= first && to <= end; to += step {
		if m.steps -= 1; m.steps < 0 {
			return -1
		}
		if !in.next.allows(m.text, to) || !m.ascii && to < len(m.text) && !utf8.RuneStart(m.text[to]) {
			continue
		}
		if found := m.match(pc, to, depth+1); found >= 0 || m.steps < 0 {
			return found
		}
		m.revert(before)
	}
	return -1
}

// holds reports whether an instruction's assertion holds at a place.
func (m *machine) holds(op op, at int) bool {
	switch op {
	case opBegin:
		return at == 0
	case opEnd:
		return at == len(m.text)
	case opBeginLine:
		return at == 0 || m.text[at-1] == '\n'
	case opEndLine:
		return at == len(m.text) || m.text[at] == '\n'
	}
	before := at > 0 && isWord(m.text[at-1])
	after := at < len(m.text) && isWord(m.text[at])
	word := before != after
	return word == (op == opWord)
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
