package logging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/pipeline"
)

// gated is a pipe that is full until it is opened.
type gated struct {
	open chan struct{}
	got  bytes.Buffer
}

func (g *gated) Write(p []byte) (int, error) {
	<-g.open
	return g.got.Write(p)
}

func TestALogThatNobodyReadsBlocksNobodyAndSaysWhatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := &gated{open: make(chan struct{})}
		out := NewOutput(pipe)
		log := New(out)
		registry := prometheus.NewRegistry()
		log.Register(registry)
		const lines = 20_000 // of 100 bytes at least
		for i := range lines {
			log.Logger().Info("line", "n", i, "padding", strings.Repeat("x", 60))
		}
		if out.Flush(time.Second) {
			t.Error("all is written, it says, while nobody reads")
		}
		lost := out.Dropped()
		if lost == 0 || lost >= lines {
			t.Fatalf("%d of %d lines are lost", lost, lines)
		}
		close(pipe.open)
		if !out.Flush(time.Second) {
			t.Error("it is read, and not all is written")
		}
		log.Logger().Info("afterwards")
		out.Flush(time.Second)
		got := strings.Split(strings.TrimSuffix(pipe.got.String(), "\n"), "\n")
		if len(got) != lines-int(lost)+2 {
			t.Fatalf("%d lines are written", len(got))
		}
		for i, line := range got[:len(got)-2] {
			if !strings.Contains(line, fmt.Sprintf(" n=%d ", i)) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
		if notice := got[len(got)-2]; !strings.Contains(notice, "level=warn") || !strings.HasSuffix(notice, fmt.Sprintf(" lines=%d", lost)) {
			t.Errorf("the notice is %q, want one of %d lines", notice, lost)
		}
		if !strings.Contains(got[len(got)-1], "afterwards") {
			t.Errorf("the last line is %q", got[len(got)-1])
		}
		if page, _ := registry.Gather(); page[0].GetMetric()[0].GetCounter().GetValue() != float64(lost) {
			t.Errorf("the metrics are %v, want %d lines", page, lost)
		}
	})
}

// failing is a pipe whose reader went away, and comes back.
type failing struct {
	gone bool
	got  bytes.Buffer
}

func (f *failing) Write(p []byte) (int, error) {
	if f.gone {
		return 0, errors.New("broken pipe")
	}
	return f.got.Write(p)
}

func TestALogWhoseReaderComesBackReportsWhatWasLost(t *testing.T) {
	pipe := &failing{gone: true}
	out := NewOutput(pipe)
	log := New(out).Logger()
	for range 3 {
		log.Info("lost")
		out.Flush(time.Minute)
	}
	pipe.gone = false
	log.Info("seen")
	out.Flush(time.Minute)
	got := pipe.got.String()
	if out.Dropped() != 3 || strings.Count(got, "\n") != 2 || !strings.Contains(got, " lines=3\n") || !strings.Contains(got, "msg=seen\n") {
		t.Errorf("%d lost, and written is:\n%s", out.Dropped(), got)
	}
}

func TestNoLineIsLostWhereAllAreRead(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(reader)
		read <- string(text)
	}()
	out := NewOutput(writer)
	for i := range 1000 {
		fmt.Fprintf(out, "line %d\n", i)
	}
	if !out.Flush(time.Minute) {
		t.Error("not all is written")
	}
	writer.Close()
	if got := <-read; strings.Count(got, "\n") != 1000 || !strings.HasSuffix(got, "line 999\n") {
		t.Errorf("%d lines", strings.Count(got, "\n"))
	}
}

// A loki.write whose queue is full holds back neither the process nor another.
func TestAStuckSinkDoesNotHoldBackAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		log := New(io.Discard)
		run(t, log, Config{Level: "info", Format: "logfmt", WriteTo: []pipeline.LogsSink{stuck{}, s}})
		for range 3 {
			log.Logger().Info("line")
			synctest.Wait()
		}
		entries := 0
		for _, stream := range s.got {
			entries += len(stream.Entries)
		}
		if entries != 3 {
			t.Errorf("the sink got %d lines of 3", entries)
		}
	})
}

// full is a sink that accepts nothing.
type full struct{}

func (full) WriteLogs(context.Context, pipeline.Logs) error { return pipeline.ErrFull }

func TestWhatASinkDoesNotAcceptIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := New(io.Discard)
		run(t, log, Config{Level: "info", Format: "logfmt", WriteTo: []pipeline.LogsSink{full{}}})
		for range 3 {
			log.Logger().Info("line")
			synctest.Wait()
		}
		if log.dropped != 3 {
			t.Errorf("%d lines are counted, want 3", log.dropped)
		}
	})
}
