package ottl

import (
	"errors"
	"testing"
)

func TestAnErrorModeIsOneOfThree(t *testing.T) {
	for text, want := range map[string]ErrorMode{"ignore": "ignore", "SILENT": "silent", "propagate": Propagate, "drop": "", "": ""} {
		var m ErrorMode
		if err := m.UnmarshalText([]byte(text)); m != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, m, err)
		}
	}
}

func TestAnErrorDoesNotRepeatWhatIsShownNextToIt(t *testing.T) {
	for text, want := range map[string]string{
		`unable to parse OTTL statement "set(\"a\": b)": statement has invalid syntax: 1:2: no`: `statement has invalid syntax: 1:2: no`,
		`unable to parse OTTL condition "a": undefined`:                                         `undefined`,
		`some other error "a": b`: `some other error "a": b`,
	} {
		if got := Short(errors.New(text)).Error(); got != want {
			t.Errorf("%s: got %q", text, got)
		}
	}
}
