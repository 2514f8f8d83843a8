package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

// run puts config into force for the time of the test; call it in a bubble.
func run(t *testing.T, log *Log, config Config) {
	t.Helper()
	c, err := NewComponent(log, config, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
}

func TestLogfmtIsTheDefault(t *testing.T) {
	var out bytes.Buffer
	New(&out).Logger().With("component_id", "loki.write.x").Info("it runs", "port", 3)
	want := regexp.MustCompile(`^ts=\d{4}-\d\d-\d\dT[0-9:.]+Z level=info msg="it runs" component_id=loki\.write\.x port=3\n$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("got %q", out.String())
	}
}

func TestLevelAndFormatFollowTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := New(&out)
		logger := log.Logger().With("a", 1)
		logger.Debug("unseen")
		run(t, log, Config{Level: "debug", Format: "json"})
		logger.Debug("seen")
		var got map[string]any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%v in %q", err, out.String())
		}
		if got["msg"] != "seen" || got["level"] != "debug" || got["a"] != 1.0 || got["ts"] == nil {
			t.Errorf("got %v", got)
		}
	})
}

type sink struct{ got []pipeline.Stream }

func (s *sink) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	s.got = append(s.got, logs.Streams...)
	return nil
}

func TestWriteToSendsEachLineToTheSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &sink{}
		log := New(&out)
		run(t, log, Config{Level: "warn", Format: "logfmt", WriteTo: []pipeline.LogsSink{s}})
		log.Logger().Info("below the level")
		log.Logger().Warn("first")
		log.Logger().Error("second")
		synctest.Wait()
		var lines []string
		for _, st := range s.got {
			if st.Labels.String() != `{component="alloy"}` {
				t.Errorf("labels %s", st.Labels)
			}
			for _, e := range st.Entries {
				lines = append(lines, e.Line)
			}
		}
		if got := strings.Join(lines, "\n") + "\n"; got != out.String() || len(lines) != 2 {
			t.Errorf("the sink got %q, standard error %q", got, out.String())
		}
	})
}

// stuck is a sink that takes nothing until ctx ends.
type stuck struct{}

func (stuck) WriteLogs(ctx context.Context, _ pipeline.Logs) error { <-ctx.Done(); return ctx.Err() }

// lateSink refuses what it is given first.
type lateSink struct {
	sink
	refusals int
}

func (s *lateSink) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	if s.refusals > 0 {
		s.refusals--
		return pipeline.ErrClosed
	}
	return s.sink.WriteLogs(ctx, logs)
}

func TestEarlyLinesReachASinkThatStartsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lateSink{refusals: 3}
		log := New(io.Discard)
		log.Logger().Info("starting")
		run(t, log, Config{Level: "info", Format: "logfmt", WriteTo: []pipeline.LogsSink{s}})
		time.Sleep(time.Second)
		synctest.Wait()
		if len(s.got) != 1 || len(s.got[0].Entries) != 1 || !strings.Contains(s.got[0].Entries[0].Line, "starting") {
			t.Errorf("got %v", s.got)
		}
	})
}

func TestAStuckSinkDoesNotBlockLogging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := New(&out)
		run(t, log, Config{Level: "info", Format: "logfmt", WriteTo: []pipeline.LogsSink{stuck{}}})
		log.Logger().Info("first")
		synctest.Wait() // the sink has it, and takes no more
		for range 3 * backlog {
			log.Logger().Info("line")
		}
		if n := strings.Count(out.String(), "\n"); n != 1+3*backlog {
			t.Errorf("%d lines on standard error", n)
		}
		if n := log.takeLost(log.feeds[0]); n != 2*backlog {
			t.Errorf("%d lines counted that the sink did not take", n)
		}
	})
}

// slow is a sink that takes its first batch only when ctx ends.
type slow struct {
	sink
	once bool
}

func (s *slow) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	if !s.once {
		s.once = true
		<-ctx.Done()
	}
	return s.sink.WriteLogs(ctx, logs)
}

func TestTheLastLinesReachTheSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		log := New(io.Discard)
		ctx, cancel := context.WithCancel(t.Context())
		c, err := NewComponent(log, Config{Level: "info", Format: "logfmt", WriteTo: []pipeline.LogsSink{s}}, component.Options{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); c.Run(ctx) }()
		synctest.Wait()
		log.Logger().Info("running")
		synctest.Wait() // the sink is writing it
		for range 10 {
			log.Logger().Info("stopping")
		}
		cancel()
		<-done
		lines := 0
		for _, st := range s.got {
			lines += len(st.Entries)
		}
		if lines != 11 {
			t.Errorf("the sink got %d of 11 lines", lines)
		}
	})
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		config Config
		want   string
	}{
		{Config{Level: "info", Format: "json"}, ""},
		{Config{Level: "loud", Format: "json"}, `level: "loud" is unknown`},
		{Config{Level: "info", Format: "xml"}, `format: "xml" is unknown`},
		{Config{Level: "loud", Format: "xml"}, "level: \"loud\" is unknown: use \"debug\", \"info\", \"warn\" or \"error\"\nformat: \"xml\" is unknown"},
	} {
		err := test.config.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%+v: %v", test.config, err)
		}
	}
}

func TestASecretIsHiddenInBothFormats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := New(&out)
		log.Logger().Info("m", "password", component.Secret("hunter2"))
		run(t, log, Config{Level: "info", Format: "json"})
		log.Logger().Info("m", slog.Group("g", "password", component.Secret("hunter2")))
		if s := out.String(); strings.Contains(s, "hunter2") || strings.Count(s, "(secret)") != 2 {
			t.Errorf("got %q", s)
		}
	})
}

func TestNothingThatIsLoggedShowsASecret(t *testing.T) {
	for _, format := range []string{"logfmt", "json"} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			log := New(&out)
			run(t, log, Config{Level: "debug", Format: format})
			set := labels.FromStrings("__param_access_token", "hunter2", "job", "shown")
			logger := log.Logger().With("host", "tcp://u:hunter2@h:2375").WithGroup("group")
			logger.Warn("asked https://u:hunter2@h/", "url", "http://h/?key=hunter2&module=shown", "err", fmt.Errorf("get %q: no", "http://h/?sig=hunter2"),
				"labels", set, "text", set.String(), "list", []string{"http://u:hunter2@h/"}, "errs", []error{errors.New("http://u:hunter2@h/")},
				"address", &net.AddrError{Err: "too many colons in address", Addr: "u:hunter2@h:1:2"}, "struct", struct{ URL string }{"http://u:hunter2@h/"},
				"err", errors.New("dial tcp: address u:hunter2@h:1:2: too many colons"), "at", time.Unix(1, 0), "password", "hunter2", "n", 7)
			synctest.Wait()
			if text := out.String(); strings.Contains(text, "hunter2") || strings.Count(text, "shown") != 3 || !strings.Contains(text, "tcp://u:(secret)@h:2375") {
				t.Errorf("%s: %s", format, text)
			}
		})
	}
}
