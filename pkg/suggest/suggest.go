// Package suggest finds what somebody probably meant to write.
package suggest

import "strings"

// Nearest returns the candidate that name is most likely a misspelling of, or
// "" when none is near enough. Of equally near ones the first wins.
func Nearest(name string, candidates []string) string {
	return Within(max(1, min(len(name)/3, 4)), name, candidates)
}

// Within returns the candidate that is nearest to name, if their distance is at
// most limit, and else "". Of equally near ones the first wins.
func Within(limit int, name string, candidates []string) string {
	best, distance := "", limit+1
	for _, c := range candidates {
		if d := len(name) - len(c); d > limit || -d > limit {
			continue
		}
		if d := Distance(strings.ToLower(name), strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// Distance counts the insertions, deletions, replacements and swaps of
// neighbors that turn a into b (optimal string alignment).
func Distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row := rows[(i+1)%3], rows[(i-1)%3], rows[i%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
