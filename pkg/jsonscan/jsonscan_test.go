package jsonscan

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

// skipAll reads one document and the white space behind it.
func skipAll(text string) error {
	var s Scanner
	s.Reset(iotest.OneByteReader(strings.NewReader(text)))
	if err := s.Skip(0); err != nil {
		return err
	}
	if more, err := s.More(); more || err != nil {
		return errors.Join(err, errors.New("something follows"))
	}
	return nil
}

// FuzzSkip compares with the library what is JSON.
func FuzzSkip(f *testing.F) {
	for _, text := range []string{
		`{"a":[1,-0.5e+3,true,null,"\u00e9\n"],"b":{}}`, `[]`, ` 0 `, `01`, `"\x"`, "\"\x01\"", `{"a":}`, `{"a" 1}`, `[1,]`, `{,}`, `nul`, `1e`, `-`, ``, `{} {}`,
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), strings.Repeat("[", MaxDepth+2) + strings.Repeat("]", MaxDepth+2),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := skipAll(text)
		if errors.Is(err, ErrDepth) || errors.Is(err, ErrLongToken) || strings.Contains(text, "\xef\xbb\xbf") {
			return
		}
		if valid := json.Valid([]byte(text)); valid != (err == nil) {
			t.Errorf("%q: valid is %v, got %v", text, valid, err)
		}
	})
}

func TestErrorsSayWhatIsWhere(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":x}`: `byte 6 is 'x', where a value is expected`,
		`[1`:      `it ends after byte 2, where a comma or ']' is expected`,
	} {
		if err := skipAll(text); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
