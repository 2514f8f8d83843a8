package process

import (
	"regexp"
	"strings"
)

// DecolorizeConfig is the block stage.decolorize.
type DecolorizeConfig struct{}

// decolorize removes the escape sequences by which terminals show colors.
type decolorize struct{ sequence *regexp.Regexp }

func newDecolorize() Stage {
	const (
		introducer = `[\x{1B}\x{9B}][\[\]()#;?]*`
		command    = `(?:[a-zA-Z\d]*(?:;[a-zA-Z\d]*)*)?\x{07}`
		control    = `(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PRZcf-ntqry=><~]`
	)
	return &decolorize{regexp.MustCompile(introducer + `(?:` + command + `|` + control + `)`)}
}

func (s *decolorize) Process(e *Entry, emit Emit) {
	if strings.IndexByte(e.Line, '\x1b') < 0 && !strings.Contains(e.Line, "\u009b") {
		emit(e)
		return
	}
	if at := s.sequence.FindStringIndex(e.Line); at != nil {
		e.Line = e.Line[:at[0]] + s.sequence.ReplaceAllLiteralString(e.Line[at[0]:], "")
	}
	emit(e)
}
