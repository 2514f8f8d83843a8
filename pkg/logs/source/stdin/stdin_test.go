package stdin

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

// start runs a source until end.
func start(t *testing.T, in *Input, to pipeline.LogsSink) (end func()) {
	t.Helper()
	o := component.Options{Metrics: prometheus.NewRegistry()}.WithDefaults()
	rejected := prometheus.NewCounter(prometheus.CounterOpts{Name: "rejected", Help: "Rejected."})
	s := &Source{in, Config{ForwardTo: []pipeline.LogsSink{to}, Labels: map[string]string{"job": "stdin"}}, o, rejected}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAllLinesAreDeliveredBeforeTheEnd(t *testing.T) {
	long := strings.Repeat("x", 3*bufferSize)
	for name, reader := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "end with data": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			sink, ended := &logstest.Sink{}, make(chan error, 1)
			in := NewInput(reader(strings.NewReader("one\r\n\n\ntwo\n\xff"+long+"\nthree")), func(err error) { ended <- err })
			defer start(t, in, sink)()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if d := cmp.Diff([]string{"one", "two", "\uFFFD" + long, "three"}, sink.Lines()); d != "" {
				t.Errorf("(-want +got):\n%.500s", d)
			}
			if got := sink.All()[0].Labels; got != `{job="stdin"}` {
				t.Errorf("labels %s", got)
			}
		})
	}
}

// The next component delivers what had been read before a reload.
func TestReloadsLoseNoLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := io.Pipe()
		ended := make(chan error, 1)
		in := NewInput(from, func(err error) { ended <- err })
		sink := &logstest.Sink{Fail: func(int) error { return pipeline.ErrFull }}
		end := start(t, in, sink)
		_, _ = to.Write([]byte("1\n2\n"))
		synctest.Wait()
		end()
		sink.Set(func() { sink.Fail = nil })
		defer start(t, in, sink)()
		_, _ = to.Write([]byte("3\n"))
		_ = to.CloseWithError(errors.New("broken"))
		if err := <-ended; err == nil || err.Error() != "broken" {
			t.Error(err)
		}
		if got := strings.Join(sink.Lines(), " "); got != "1 2 3" {
			t.Errorf("got %q", got)
		}
	})
}

func TestALineThatIsTooLongIsCut(t *testing.T) {
	sink, ended := &logstest.Sink{}, make(chan error, 1)
	defer start(t, NewInput(strings.NewReader(strings.Repeat("y", maxLine+10)+"\nnext\n"), func(err error) { ended <- err }), sink)()
	<-ended
	lines := sink.Lines()
	if len(lines) != 2 || len(lines[0]) != maxLine || !strings.HasSuffix(lines[0], " bytes]") || lines[1] != "next" {
		t.Errorf("%d lines; %.100q", len(lines), lines)
	}
}
