package deliver

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/queue"
)

// A tenant that is told to wait all the time, or a reason for which much is dropped, does
// not keep the destination's other problems out of the log.
func TestOneProblemHidesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := new(bytes.Buffer)
		d := &destination{log: slog.New(slog.NewTextHandler(out, nil)), counts: map[Outcome]uint64{}}
		noisy, quiet := []queue.Block{{Tag: "noisy", Items: 1}}, []queue.Block{{Tag: "quiet", Items: 1}}
		ofTenant := func(text string) error { return &Error{Err: errors.New(text), OfTag: true} }
		for range 3 {
			d.record(Retry, noisy, time.Now(), ofTenant("noisy is over its limit"), ticket{})
		}
		d.record(Retry, quiet, time.Now(), ofTenant("quiet is over its limit"), ticket{})
		d.record(Retry, quiet, time.Now(), errors.New("connection refused"), ticket{})
		for range 3 {
			d.lost(nil, 1, 1, ReasonTooLarge, errors.New("entry too large"))
		}
		d.lost(nil, 1, 1, ReasonRejected, errors.New("no such tenant"))
		for _, want := range []string{"noisy is over", "quiet is over", "connection refused", "entry too large", "no such tenant"} {
			if n := strings.Count(out.String(), `err="`+want); n != 1 {
				t.Errorf("%q is logged %d times in\n%s", want, n, out)
			}
		}
	})
}
