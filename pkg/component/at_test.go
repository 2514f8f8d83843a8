package component

import (
	"errors"
	"io/fs"
	"testing"
)

func TestAnErrorNamesItsArgument(t *testing.T) {
	if err := At("url", nil); err != nil {
		t.Errorf("of no error: %v", err)
	}
	cause := errors.Join(At("url", errors.New("is empty")), At("tls_config/ca_file", fs.ErrNotExist), errors.New("no"))
	err := At(Block("endpoint", 1), cause)
	want := "endpoint 2 > url: is empty\nendpoint 2 > tls_config > ca_file: file does not exist\nendpoint 2: no"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
	var placed *PlacedError
	if !errors.As(err, &placed) || placed.Path != "endpoint[1]/url" {
		t.Errorf("got %+v", placed)
	}
}
