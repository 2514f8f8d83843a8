package logging

import (
	"encoding"
	"fmt"
	"log/slog"

	"collector/pkg/component"
)

// clean is an attribute as it may be written: without what is called a secret,
// and without the passwords and parameters of URLs, wherever they stand. It is
// done here for all that is logged, as an error may quote any URL.
func clean(a slog.Attr) slog.Attr {
	text := ""
	switch v := a.Value.Any().(type) {
	case string:
		text = v
	case error:
		text = v.Error()
	case slog.LogValuer, encoding.TextMarshaler:
		return a
	case fmt.Stringer:
		text = v.String()
	case []string, map[string]string:
		text = fmt.Sprint(v)
	default:
		return a
	}
	if text != "" && component.HidesValue(a.Key) {
		return slog.String(a.Key, component.Redacted)
	}
	if shown := component.WithoutLabelSecrets(text); shown != text {
		return slog.String(a.Key, shown)
	}
	return a
}
