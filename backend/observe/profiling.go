package observe

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/grafana/pyroscope-go"
)

// A sample of frequent events is enough for a profile, and costs less: one in so many
// contended locks, and one blocked goroutine in so many nanoseconds of waiting.
const (
	mutexFraction = 5
	blockRate     = 10_000
)

// Profiling takes profiles all the time and pushes them.
type Profiling struct{ stop func() }

// StartProfiling pushes to address ("http://host:port"), every ten seconds if
// every is 0. It does not wait for the collector; what cannot be delivered is
// dropped.
func StartProfiling(address string, service Service, every time.Duration, log *slog.Logger) (*Profiling, error) {
	runtime.SetMutexProfileFraction(mutexFraction)
	runtime.SetBlockProfileRate(blockRate)
	profiler, err := pyroscope.Start(pyroscope.Config{
		ApplicationName: service.Name,
		ServerAddress:   address,
		Tags:            map[string]string{"version": service.Version, "instance": service.Instance},
		UploadRate:      cmp.Or(every, 10*time.Second),
		HTTPClient:      &http.Client{Timeout: 10 * time.Second},
		Logger:          profilerLog{&throttle{log: log, message: "profiles cannot be delivered"}},
		ProfileTypes: []pyroscope.ProfileType{
			pyroscope.ProfileCPU,
			pyroscope.ProfileAllocObjects,
			pyroscope.ProfileAllocSpace,
			pyroscope.ProfileInuseObjects,
			pyroscope.ProfileInuseSpace,
			pyroscope.ProfileGoroutines,
			pyroscope.ProfileMutexCount,
			pyroscope.ProfileMutexDuration,
			pyroscope.ProfileBlockCount,
			pyroscope.ProfileBlockDuration,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("start profiling for %q: %w", address, err)
	}
	return &Profiling{func() {
		profiler.Flush(true) // Stop alone drops what has not been sent yet
		_ = profiler.Stop()  // has no error to return
	}}, nil
}

// Stop sends what is waiting, until ctx ends. The profiler offers no way to
// interrupt it, so if it takes longer it is left to end with the program.
func (p *Profiling) Stop(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.stop()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("send the last profiles: %w", ctx.Err())
	}
}

// profilerLog forwards errors, and omits everything else.
type profilerLog struct{ failures *throttle }

func (l profilerLog) Errorf(format string, args ...any) {
	l.failures.failed(fmt.Sprintf(format, args...))
}
func (profilerLog) Infof(string, ...any)  {}
func (profilerLog) Debugf(string, ...any) {}
