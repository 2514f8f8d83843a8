package config

import (
	"slices"
	"strings"
)

// FileDiff is how one file of a configuration differs from what it was. It holds
// no secrets: lines are as Highlight shows them. A line of which only a secret
// changed is removed and added, and looks the same.
type FileDiff struct {
	Name    string     `json:"name"`
	Change  string     `json:"change"` // added, removed or changed
	Added   int        `json:"added"`  // lines
	Removed int        `json:"removed"`
	Lines   []DiffLine `json:"lines"`
	// More is how many lines are not in Lines, because there are too many.
	More int `json:"more,omitempty"`
}

// DiffLine is a line of a FileDiff.
type DiffLine struct {
	// Kind is "+" for an added line, "-" for a removed one, and " " for one around
	// them that is in both.
	Kind string `json:"kind"`
	Old  int    `json:"old,omitempty"` // its number before, from 1; 0 if it was not there
	New  int    `json:"new,omitempty"`
	Text string `json:"text"`
}

// What a file is in a FileDiff.
const (
	fileAdded   = "added"
	fileRemoved = "removed"
	fileChanged = "changed"
)

const (
	// diffContext is how many lines that are in both are shown around a change.
	diffContext = 3
	// maxDiffLines bounds the lines that are kept of one diff.
	maxDiffLines = 400
	// maxDiffLine bounds one line, in bytes.
	maxDiffLine = 500
)

// Diff is how the files of after differ from those of before. A file that is the
// same is not in it.
func Diff(before, after []Source) []FileDiff {
	out := []FileDiff{}
	left := maxDiffLines
	add := func(name, change string, a, b Source) {
		d := diffFile(a, b, &left)
		d.Name, d.Change = name, change
		out = append(out, d)
	}
	for _, s := range after {
		i := slices.IndexFunc(before, func(b Source) bool { return b.Name == s.Name })
		switch {
		case i < 0:
			add(s.Name, fileAdded, Source{}, s)
		case string(normalize(before[i].Text)) != string(normalize(s.Text)):
			add(s.Name, fileChanged, before[i], s)
		}
	}
	for _, s := range before {
		if !slices.ContainsFunc(after, func(a Source) bool { return a.Name == s.Name }) {
			add(s.Name, fileRemoved, s, Source{})
		}
	}
	return out
}

// linesOf are the lines of a source as they are; a line end at the end begins none.
func linesOf(s Source) []string {
	text := string(normalize(s.Text))
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// diffFile compares two texts, of which it shows at most as many lines as are left.
func diffFile(a, b Source, left *int) FileDiff {
	old, fresh := linesOf(a), linesOf(b)
	kept := commonLines(old, fresh)
	d := FileDiff{Removed: len(old) - len(kept), Added: len(fresh) - len(kept), Lines: []DiffLine{}}
	shownOld, shownNew := shownLines(string(normalize(a.Text)), a.Original), shownLines(string(normalize(b.Text)), b.Original)
	show := func(l DiffLine) {
		if *left <= 0 {
			d.More++
			return
		}
		*left--
		text := shownNew
		at := l.New
		if l.Kind == "-" {
			text, at = shownOld, l.Old
		}
		if at <= len(text) {
			l.Text = text[at-1]
		}
		if len(l.Text) > maxDiffLine {
			l.Text = strings.ToValidUTF8(l.Text[:maxDiffLine], "") + "…"
		}
		d.Lines = append(d.Lines, l)
	}
	i, j := 0, 0
	for n, p := range append(kept, pair{len(old), len(fresh)}) {
		for ; i < p.a; i++ {
			show(DiffLine{Kind: "-", Old: i + 1})
		}
		for ; j < p.b; j++ {
			show(DiffLine{Kind: "+", New: j + 1})
		}
		if n < len(kept) && nearChange(kept, n, len(old), len(fresh)) {
			show(DiffLine{Kind: " ", Old: i + 1, New: j + 1})
		}
		i, j = p.a+1, p.b+1
	}
	return d
}

// nearChange reports whether a change is within a few lines of the n-th pair.
func nearChange(kept []pair, n, lenA, lenB int) bool {
	at := func(i int) pair {
		switch {
		case i < 0:
			return pair{i, i} // as if the lines before the first were in both
		case i >= len(kept):
			return pair{lenA + i - len(kept), lenB + i - len(kept)}
		}
		return kept[i]
	}
	first, last := at(n-diffContext), at(n+diffContext)
	return last.a-first.a != 2*diffContext || last.b-first.b != 2*diffContext
}

// pair is a line that two texts have in common: its index in each.
type pair struct{ a, b int }

// commonLines pairs lines of a and b that are equal, in their order. It finds few
// enough differences to be read, not the fewest: what is not between lines that
// occur once in both is compared exactly only if it is short.
func commonLines(a, b []string) []pair {
	var out []pair
	appendCommon(&out, a, b, 0, 0)
	return out
}

// maxExact bounds the work of an exact comparison.
const maxExact = 1 << 18

func appendCommon(out *[]pair, a, b []string, offA, offB int) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		*out = append(*out, pair{offA, offB})
		a, b, offA, offB = a[1:], b[1:], offA+1, offB+1
	}
	end := 0
	for end < len(a) && end < len(b) && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	tailA, tailB := offA+len(a)-end, offB+len(b)-end
	a, b = a[:len(a)-end], b[:len(b)-end]
	switch anchors := anchorsOf(a, b); {
	case len(a) == 0 || len(b) == 0:
	case len(anchors) > 0:
		i, j := 0, 0
		for _, p := range anchors {
			appendCommon(out, a[i:p.a], b[j:p.b], offA+i, offB+j)
			*out = append(*out, pair{offA + p.a, offB + p.b})
			i, j = p.a+1, p.b+1
		}
		appendCommon(out, a[i:], b[j:], offA+i, offB+j)
	case len(a)*len(b) <= maxExact:
		appendLongest(out, a, b, offA, offB)
	}
	for i := range end {
		*out = append(*out, pair{tailA + i, tailB + i})
	}
}

// anchorsOf are the lines that occur once in a and once in b, as many as are in
// the same order in both.
func anchorsOf(a, b []string) []pair {
	type seen struct{ inA, inB, atA, atB int }
	found := map[string]*seen{}
	for i, line := range a {
		if found[line] == nil {
			found[line] = &seen{}
		}
		found[line].inA++
		found[line].atA = i
	}
	for j, line := range b {
		if s := found[line]; s != nil {
			s.inB++
			s.atB = j
		}
	}
	var once []pair
	for i, line := range a {
		if s := found[line]; s.inA == 1 && s.inB == 1 {
			once = append(once, pair{i, s.atB})
		}
	}
	return rising(once)
}

// rising is the longest part of pairs, which are sorted by a, in which b rises too.
func rising(pairs []pair) []pair {
	var ends []int // by length less one: the pair that ends the best part of it
	before := make([]int, len(pairs))
	for i, p := range pairs {
		n, _ := slices.BinarySearchFunc(ends, p.b, func(end, b int) int { return pairs[end].b - b })
		before[i] = -1
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	var out []pair
	if len(ends) == 0 {
		return nil
	}
	for i := ends[len(ends)-1]; i >= 0; i = before[i] {
		out = append(out, pairs[i])
	}
	slices.Reverse(out)
	return out
}

// appendLongest appends a longest common part of a and b.
func appendLongest(out *[]pair, a, b []string, offA, offB int) {
	width := len(b) + 1
	length := make([]int32, (len(a)+1)*width) // of what a[i:] and b[j:] have in common
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i*width+j] = length[(i+1)*width+j+1] + 1
			} else {
				length[i*width+j] = max(length[(i+1)*width+j], length[i*width+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			*out = append(*out, pair{offA + i, offB + j})
			i, j = i+1, j+1
		case length[(i+1)*width+j] >= length[i*width+j+1]:
			i++
		default:
			j++
		}
	}
}
