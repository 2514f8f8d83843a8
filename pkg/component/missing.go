package component

import (
	"errors"
	"io/fs"
	"net"
	"slices"
	"syscall"
)

// Lacks reports whether nothing is wrong but that this machine lacks a file, the
// right to read it, or a host's name. It must hold for every part of a joined error.
func Lacks(err error) bool {
	switch e := err.(type) {
	case nil:
		return false
	case *net.DNSError, *absentError:
		return true
	case interface{ Unwrap() []error }:
		return len(e.Unwrap()) > 0 && !slices.ContainsFunc(e.Unwrap(), func(part error) bool { return !Lacks(part) })
	case interface{ Unwrap() error }:
		return e.Unwrap() != nil && Lacks(e.Unwrap())
	}
	for _, missing := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.EISDIR, syscall.ENOTDIR} {
		if errors.Is(err, missing) {
			return true
		}
	}
	return false
}

// Absent marks err as about what this machine lacks, such as a server that it can
// reach.
func Absent(err error) error { return &absentError{err} }

type absentError struct{ error }

func (e *absentError) Unwrap() error { return e.error }
