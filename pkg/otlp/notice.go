package otlp

import (
	"log/slog"

	"collector/pkg/throttle"
)

// notice is a log message about what may happen with every request.
type notice struct{ quiet throttle.Log }

func (n *notice) log(l *slog.Logger, level slog.Level, message string, attrs ...any) {
	n.quiet.Log(l, level, "", message, attrs...)
}
