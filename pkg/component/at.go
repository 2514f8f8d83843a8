package component

import (
	"fmt"
	"strconv"
	"strings"
)

// PlacedError is an error about one argument or block, made by At.
type PlacedError struct {
	Path string
	Err  error
}

// At says which argument or block err is about, for the graph to show it there.
// path leads from the block whose Validate or constructor returns the error, such
// as "endpoint[1]/url": an index, which counts from 0, tells blocks of one name or
// the elements of a list apart. Each part of a joined error gets the path, and the
// paths of nested calls are joined. A nil err stays nil.
func At(path string, err error) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs := make(placedErrors, 0, len(joined.Unwrap()))
		for _, e := range joined.Unwrap() {
			errs = append(errs, At(path, e))
		}
		return errs
	}
	if inner, ok := err.(*PlacedError); ok {
		return &PlacedError{path + "/" + inner.Path, inner.Err}
	}
	return &PlacedError{path, err}
}

// Block is the path of the block number i, from 0, of a name.
func Block(name string, i int) string { return fmt.Sprintf("%s[%d]", name, i) }

// Error is the path in words, which count from 1, and the cause.
func (e *PlacedError) Error() string { return PathWords(e.Path) + ": " + e.Err.Error() }

// Unwrap is the cause.
func (e *PlacedError) Unwrap() error { return e.Err }

// placedErrors is what errors.Join makes.
type placedErrors []error

func (es placedErrors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "\n")
}

func (es placedErrors) Unwrap() []error { return es }

// PathWords is a path as people read it: "endpoint 2 > url" for "endpoint[1]/url".
func PathWords(path string) string {
	var words []string
	for step := range strings.SplitSeq(path, "/") {
		name, index := Step(step)
		if index >= 0 {
			name += " " + strconv.Itoa(index+1)
		}
		words = append(words, name)
	}
	return strings.Join(words, " > ")
}

// Step takes a step of a path apart. The index is -1 if the step has none.
func Step(step string) (name string, index int) {
	name, number, indexed := strings.Cut(strings.TrimSuffix(step, "]"), "[")
	if index, err := strconv.Atoi(number); indexed && err == nil && index >= 0 {
		return name, index
	}
	return name, -1
}
