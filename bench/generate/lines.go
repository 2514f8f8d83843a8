package generate

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"collector-bench/wire"
)

// signalPoll is how often a container looks for the signal.
const signalPoll = 50 * time.Millisecond

// Schedule says which lines a container writes. It is fixed in advance, so that nobody
// has to ask containers how many they have written.
type Schedule struct {
	Rate  int // lines a second
	Count uint64
	Size  int // bytes of a line, without its end
}

// Total is what one container writes.
func (s Schedule) Total() Total { return Total{Items: s.Count, Sum: s.Count * (s.Count + 1) / 2} }

// Lasting is how long writing takes.
func (s Schedule) Lasting() time.Duration {
	return time.Duration(float64(s.Count) / float64(s.Rate) * float64(time.Second))
}

// Signal lets all containers begin at the given time: file is the one that they
// wait for. Containers start one by one, and the first must not have written its
// lines before the last one has started.
func Signal(file string, begin time.Time) error {
	temporary := file + ".new"
	if err := os.WriteFile(temporary, strconv.AppendInt(nil, begin.UnixNano(), 10), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}

// await waits for file and returns the time in it.
func await(ctx context.Context, file string) (time.Time, error) {
	for {
		text, err := os.ReadFile(file)
		if err == nil {
			begin, err := strconv.ParseInt(string(text), 10, 64)
			return time.Unix(0, begin), err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return time.Time{}, err
		}
		if err := sleep(ctx, signalPoll); err != nil {
			return time.Time{}, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Lines is the container's process: it waits for the signal in file, writes its lines to
// standard output, and then idles until it is stopped.
func Lines(s Schedule, file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	begin, err := await(ctx, file)
	if err != nil {
		return err
	}
	if err := sleep(ctx, time.Until(begin)); err != nil {
		return err
	}
	var buffer []byte
	var last error
	counted, count := context.WithCancel(ctx)
	pace(counted, float64(s.Rate), 1, func(n uint64) {
		if n >= s.Count || last != nil {
			count()
			return
		}
		// A line is a write, as programs write their logs.
		buffer = wire.AppendLine(buffer[:0], wire.Line{Number: n + 1, At: time.Now().UnixNano()}, s.Size)
		_, last = os.Stdout.Write(buffer)
	})
	if last != nil {
		return last
	}
	<-ctx.Done()
	return nil
}
