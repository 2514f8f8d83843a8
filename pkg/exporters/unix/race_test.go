//go:build race

package unix

// raced reports whether the race detector is on.
const raced = true
