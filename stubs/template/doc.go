// Package template is linked into Go's text/template by build.sh, in place of its
// search for methods by any name.
//
// Where a program may call a method by a name that is known only when it runs, the
// linker keeps the exported methods of all types, which are 6 MB here. Templates of
// configurations handle strings, numbers, maps and lists, which have no methods, and
// the few types of methods.go.
package template
