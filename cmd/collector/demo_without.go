//go:build no_demo

package main

import (
	"errors"
	"io"
)

// demo says that this build has no demo.
func demo([]string, io.Writer, io.Writer) error {
	return errors.New("demo is not in this build of collector, which was built with the tag no_demo")
}
