package logging

import (
	"encoding"
	"fmt"
	"log/slog"

	"collector/pkg/mask"
)

// clean is an attribute as it may be written: without what is called a secret,
// and without the passwords and parameters of URLs, wherever they occur. It is
// done here for all that is logged, as an error may quote any URL.
func clean(a slog.Attr) slog.Attr {
	text := ""
	switch v := a.Value.Any().(type) {
	case string:
		text = v
	case error:
		text = v.Error()
	case slog.LogValuer:
		return a
	case encoding.TextMarshaler:
		raw, err := v.MarshalText()
		if err != nil {
			return a
		}
		text = string(raw)
	case fmt.Stringer:
		text = v.String()
	default:
		if a.Value.Kind() != slog.KindAny {
			return a
		}
		text = fmt.Sprintf("%+v", v) // as slog writes it
	}
	if text != "" && mask.HidesValue(a.Key) {
		return slog.String(a.Key, mask.Redacted)
	}
	if shown := mask.WithoutLogins(mask.WithoutLabelSecrets(text)); shown != text {
		return slog.String(a.Key, shown)
	}
	return a
}
