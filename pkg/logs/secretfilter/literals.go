package secretfilter

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxExact is how many texts a part of an expression may be, to be listed.
	maxExact = 64
	// maxRequired is how many texts an expression may require one of.
	maxRequired = 128
	// minLiteral is how long a text has to be to be looked for.
	minLiteral = 2
	// goodLiteral is how long a text is that is rare enough, so that it need not be
	// made longer by listing what may follow.
	goodLiteral = 4
	// maxLiteral is how much of a text is looked for.
	maxLiteral = 12
	// minRun is how long a run of characters has to be to be looked for.
	minRun = 8
)

// required lists texts of which every match of an expression has at least one, in
// lower case as lower makes it. Without any, it is not known what a match has. An
// expression that ignores the case of letters may also match the two letters that are
// the same as k and s to it, and are not of ASCII: see odd.
func required(expression string) []string {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil
	}
	best := look(re).best()
	for i, text := range best {
		if len(text) < minLiteral || len(best) > maxRequired {
			return nil
		}
		best[i] = text[:min(len(text), maxLiteral)]
	}
	slices.Sort(best)
	return slices.Compact(best)
}

// parts is what is known of the matches of an expression: the texts that they are,
// or texts of which they have one.
type parts struct {
	exact    []string // nil: not known
	required []string // nil: not known
}

// best is what matches have, as selective as it is known.
func (p parts) best() []string { return better(p.exact, p.required) }

// better is the list whose shortest text is longer.
func better(a, b []string) []string {
	if shortest(a) >= shortest(b) {
		return a
	}
	return b
}

// shortest is the length of the shortest text; 0 for none.
func shortest(texts []string) int {
	if len(texts) == 0 {
		return 0
	}
	return len(slices.MinFunc(texts, func(a, b string) int { return len(a) - len(b) }))
}

func look(re *syntax.Regexp) parts {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return parts{exact: []string{""}}
	case syntax.OpLiteral:
		text := string(re.Rune)
		if re.Flags&syntax.FoldCase != 0 && len(text) > len(re.Rune) || strings.ContainsRune(text, utf8.RuneError) {
			return parts{} // only the cases of ASCII are known here, and invalid bytes match RuneError
		}
		return parts{exact: []string{lower(text)}}
	case syntax.OpCharClass:
		return parts{exact: characters(re.Rune)}
	case syntax.OpCapture:
		return look(re.Sub[0])
	case syntax.OpConcat:
		return concatenated(re.Sub)
	case syntax.OpAlternate:
		return alternatives(re.Sub)
	case syntax.OpQuest:
		if p := look(re.Sub[0]); p.exact != nil && len(p.exact) < maxExact {
			return parts{exact: append([]string{""}, p.exact...)}
		}
	case syntax.OpPlus:
		return parts{required: look(re.Sub[0]).best()}
	case syntax.OpRepeat:
		if re.Min > 0 {
			return parts{required: look(re.Sub[0]).best()}
		}
	}
	return parts{}
}

// characters lists those of a class, letters in lower case; nil: they are too many.
func characters(ranges []rune) []string {
	var out []string
	for i := 0; i+1 < len(ranges); i += 2 {
		if ranges[i+1]-ranges[i] > maxExact || ranges[i] <= utf8.RuneError && utf8.RuneError <= ranges[i+1] {
			return nil
		}
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			out = append(out, lower(string(r)))
		}
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) > maxExact {
		return nil
	}
	return out
}

func concatenated(all []*syntax.Regexp) parts {
	exact := []string{""}
	whole := true
	var most []string
	for _, re := range all {
		p := look(re)
		if p.exact != nil && (len(p.exact) == 1 || shortest(exact) < goodLiteral && len(exact)*len(p.exact) <= maxExact) {
			exact = product(exact, p.exact)
			continue
		}
		most, whole = better(better(most, exact), p.best()), false
		exact = []string{""}
		if p.exact != nil { // it could not be joined with what is before
			exact = p.exact
		}
	}
	if whole {
		return parts{exact: exact}
	}
	return parts{required: better(most, exact)}
}

func product(a, b []string) []string {
	out := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			out = append(out, x+y)
		}
	}
	return out
}

func alternatives(all []*syntax.Regexp) parts {
	exact, needed := []string{}, []string{} // nil: not known
	for _, re := range all {
		p := look(re)
		if exact != nil {
			exact = append(exact, p.exact...)
		}
		if p.exact == nil {
			exact = nil
		}
		if needed != nil {
			needed = append(needed, p.best()...)
		}
		if shortest(p.best()) == 0 {
			needed = nil
		}
	}
	if exact != nil && len(exact) <= maxExact {
		return parts{exact: exact}
	}
	return parts{required: needed}
}

// run is a number of bytes in a row, each one of some.
type run struct {
	of [256]bool
	n  int
}

// requiredRun is a run that every match of an expression has, as long as it is known;
// its n is 0 if none is.
func requiredRun(expression string) run {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return run{}
	}
	if r := runOf(re); r.n >= minRun {
		return r
	}
	return run{}
}

func runOf(re *syntax.Regexp) (r run) {
	switch re.Op {
	case syntax.OpCapture, syntax.OpPlus:
		return runOf(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min == 0 {
			return run{}
		}
		if r = runOf(re.Sub[0]); re.Sub[0].Op == syntax.OpCharClass {
			r.n = re.Min
		}
	case syntax.OpCharClass:
		r.n = 1
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for c := re.Rune[i]; c <= min(re.Rune[i+1], 0x7f); c++ {
				r.of[c] = true
			}
			for c := 0x80; c <= 0xff && re.Rune[i+1] >= 0x80; c++ { // of some character
				r.of[c] = true
			}
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if part := runOf(sub); part.n > r.n {
				r = part
			}
		}
	case syntax.OpAlternate:
		for i, sub := range re.Sub {
			part := runOf(sub)
			for c := range part.of {
				r.of[c] = r.of[c] || part.of[c]
			}
			if i == 0 || part.n < r.n {
				r.n = part.n
			}
		}
	}
	return r
}

// in reports whether a text has the run.
func (r *run) in(text string) bool {
	n := 0
	for i := range len(text) {
		if !r.of[text[i]] {
			n = 0
		} else if n++; n >= r.n {
			return true
		}
	}
	return r.n == 0
}

// lower is a text with the letters of ASCII in lower case.
func lower(s string) string {
	out := []byte(s)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return string(out)
}
