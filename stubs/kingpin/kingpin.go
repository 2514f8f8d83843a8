// Package kingpin takes the place of the parser of flags that elasticsearch_exporter's
// library defines flags with, which no component reads. Its templates call methods by
// any name, so that the linker would keep all methods of all types.
package kingpin

// FlagClause is a flag that nobody sets.
type FlagClause struct{}

// ParseContext is what an action would be given.
type ParseContext struct{}

// Flag defines a flag.
func Flag(string, string) *FlagClause { return &FlagClause{} }

// Default says what the flag is if it is not set.
func (f *FlagClause) Default(...string) *FlagClause { return f }

// Action says what to do when the flag is set.
func (f *FlagClause) Action(func(*ParseContext) error) *FlagClause { return f }

// Bool is the flag's value.
func (f *FlagClause) Bool() *bool { return new(bool) }
