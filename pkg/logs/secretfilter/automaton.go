package secretfilter

// automaton finds which of many texts a line has, in one pass over it (Aho and
// Corasick). It knows the letters of ASCII in lower case only.
type automaton struct {
	class [256]uint8 // of bytes; 0: a byte that no text has
	width int        // the number of classes
	next  []uint32   // the state that follows, by state*width+class
	found [][]int    // by state: the rules whose text ends there
}

// newAutomaton makes one of the texts of each rule.
func newAutomaton(texts [][]string) *automaton {
	a := &automaton{width: 1}
	for _, of := range texts {
		for _, text := range of {
			for i := range len(text) {
				if a.class[text[i]] == 0 {
					a.class[text[i]] = uint8(a.width)
					a.width++
				}
			}
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		a.class[c] = a.class[c+'a'-'A']
	}
	a.state()
	for rule, of := range texts {
		for _, text := range of {
			at := uint32(0)
			for i := range len(text) {
				step := int(at)*a.width + int(a.class[text[i]])
				if a.next[step] == 0 {
					a.next[step] = a.state()
				}
				at = a.next[step]
			}
			a.found[at] = append(a.found[at], rule)
		}
	}
	a.link()
	return a
}

// state adds a state.
func (a *automaton) state() uint32 {
	a.next = append(a.next, make([]uint32, a.width)...)
	a.found = append(a.found, nil)
	return uint32(len(a.found) - 1)
}

// link sets for each state what follows where no text continues: the longest end of what
// was read that begins a text.
func (a *automaton) link() {
	back := make([]uint32, len(a.found))
	queue := []uint32{}
	for c := range a.width {
		if s := a.next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		a.found[at] = append(a.found[at], a.found[back[at]]...)
		for c := range a.width {
			step, other := int(at)*a.width+c, a.next[int(back[at])*a.width+c]
			if s := a.next[step]; s != 0 {
				back[s] = other
				queue = append(queue, s)
				continue
			}
			a.next[step] = other
		}
	}
}

// each calls f for each rule of which line has a text, perhaps several times.
func (a *automaton) each(line string, f func(rule int)) {
	at := uint32(0)
	for i := range len(line) {
		at = a.next[int(at)*a.width+int(a.class[line[i]])]
		for _, rule := range a.found[at] {
			f(rule)
		}
	}
}
