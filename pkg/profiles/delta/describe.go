package delta

import (
	"fmt"
	"strings"
)

// Describe says what is in a profile, which is not compressed: the sum of each type of
// values, and how much it has of what.
func Describe(data []byte) (string, error) {
	p, err := New().read(data)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for at, t := range p.types {
		sum := int64(0)
		for _, e := range p.entries {
			sum += p.values[e.values+at]
		}
		kind, err := p.text(t[0])
		if err != nil {
			return "", err
		}
		unit, err := p.text(t[1])
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%.100s: %d %.100s\n", strings.ToValidUTF8(string(kind), "\uFFFD"), sum, strings.ToValidUTF8(string(unit), "\uFFFD"))
	}
	fmt.Fprintf(&b, "%d stacks, %d functions, %d locations\n", len(p.entries), len(p.functions), len(p.locations))
	return b.String(), nil
}
