package docker

import (
	"errors"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
)

// IsNotFound reports whether err says that the container does not exist (any
// more). One that is being removed counts as such.
func IsNotFound(err error) bool {
	if err == nil || IsRefused(err) {
		return false
	}
	var answered *answerError
	return errors.As(err, &answered) && answered.code == http.StatusNotFound ||
		errdefs.IsNotFound(err) || strings.Contains(err.Error(), "dead or marked for removal")
}

// IsUnreadable reports whether err says that the container's logging driver cannot be read.
func IsUnreadable(err error) bool {
	// Engines before 17.06 answer this with status 500, so the text tells.
	return err != nil && strings.Contains(err.Error(), "does not support reading")
}

// IsCorrupt reports whether err, from LogReader.Next, is a message of the Engine that it
// cannot read its own log file. It ends the output; what comes after the damage can be
// read with a later LogOptions.Since.
func IsCorrupt(err error) bool {
	var d *daemonError
	return errors.As(err, &d)
}

// daemonError is what the Engine writes into a log stream to say that it
// cannot go on.
type daemonError struct{ message string }

func (e *daemonError) Error() string { return "the Engine cannot read the log: " + e.message }

// isVersionError reports whether the Engine refuses the negotiated version: it has been
// replaced by another one in the meantime.
func isVersionError(err error) bool {
	return err != nil && strings.Contains(err.Error(), "client version ") && strings.Contains(err.Error(), " is too ")
}
