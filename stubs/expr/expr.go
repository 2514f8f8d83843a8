// Package expr takes the place of the expression language that the OpenTelemetry
// Collector's filters had before OTTL. No argument of a component reaches it, but it
// calls methods by any name, so that the linker would keep all methods of all types.
package expr

import (
	"errors"

	"github.com/expr-lang/expr/vm"
)

// Compile rejects every expression.
func Compile(string) (*vm.Program, error) {
	return nil, errors.New("expressions are not supported: use OTTL")
}
