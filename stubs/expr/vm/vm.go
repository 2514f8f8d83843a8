// Package vm is the part of the stub of expr that would run expressions.
package vm

import "errors"

// Program is a compiled expression, of which there are none.
type Program struct{}

// VM runs programs.
type VM struct{}

// Run runs none.
func (*VM) Run(*Program, any) (any, error) {
	return nil, errors.New("expressions are not supported: use OTTL")
}
