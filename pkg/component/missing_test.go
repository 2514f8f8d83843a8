package component

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
)

func TestLacksIsTrueOfWhatAnotherMachineMayHaveOnly(t *testing.T) {
	_, absent := os.ReadFile("/absent/file")
	_, folder := os.ReadFile(t.TempDir())
	name := &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "loki"}}
	wrong := errors.New("wrong")
	for _, err := range []error{absent, folder, name, fmt.Errorf("ca_file: %w", absent), At("ca_file", absent), errors.Join(absent, folder), At("a", errors.Join(absent, At("b", folder)))} {
		if !Lacks(err) {
			t.Errorf("%v: not lacking", err)
		}
	}
	for _, err := range []error{nil, wrong, errors.Join(absent, wrong), fmt.Errorf("%w and %w", wrong, folder), At("a", errors.Join(absent, At("b", wrong)))} {
		if Lacks(err) {
			t.Errorf("%v: lacking", err)
		}
	}
}
