package file

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
	"collector/pkg/inspect"
)

func TestASourceSaysWhichTargetsItReads(t *testing.T) {
	good, bad := labels.FromStrings("__path__", "/var/log/a.log"), labels.FromStrings("job", "a")
	var s inspect.TargetConsumer = &Source{cfg: Config{Targets: discovery.NewSet(good, bad)}}
	for target, want := range map[*labels.Labels]string{&good: "listed, taken", &bad: "listed, not taken", {}: "not listed"} {
		got := "not listed"
		if o, listed := s.Consume(*target); listed && o.Taken {
			got = "listed, taken"
		} else if listed && o.Why != "" {
			got = "listed, not taken"
		}
		if got != want {
			t.Errorf("%v: %s, want %s", target, got, want)
		}
	}
}

func TestATailShowsHowFarAFileIsRead(t *testing.T) {
	b := newBench(t)
	b.target("a.log")
	w := b.writer("a.log")
	w.write("1\n2")
	b.start()
	b.wait("1")
	tail := func() inspect.LogTail { return b.source.LogTails()[0] }
	// A line without its end is not there yet.
	b.until("the position is told", func() bool { return tail().Position == 2 && tail().Size == 3 && tail().LagSeconds == 0 })
	if now := tail(); now.Kind != inspect.TailFile || now.Rotated != 0 {
		t.Errorf("%+v", now)
	}
	b.rename("a.log", "a.log.1")
	b.append("a.log", "3\n")
	b.until("a rotated file is told of", func() bool { return tail().Rotated == 1 && tail().Size == 2 })
	b.sink.Set(func() { b.sink.Block = make(chan struct{}) })
	b.append("a.log", "4\n")
	b.append("a.log", "5\n")
	b.until("the lag is told", func() bool { return tail().LagSeconds > 0 })
	b.sink.Set(func() { close(b.sink.Block); b.sink.Block = nil })
	b.until("the lag has ended", func() bool { return tail().LagSeconds == 0 && tail().Position == 6 })
}

func TestAFileThatCannotBeReadIsExplained(t *testing.T) {
	b := newBench(t)
	if err := os.Mkdir(b.path("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.target("folder")
	b.start()
	b.until("the folder is told of", func() bool {
		tails := b.source.LogTails()
		return len(tails) == 1 && strings.Contains(tails[0].Cause, "is a folder") && strings.Contains(tails[0].Fix, "*.log") && tails[0].Error != ""
	})
	b.write("secret.log", "x")
	if err := os.Chmod(b.path("secret.log"), 0o640); err != nil {
		t.Fatal(err)
	}
	denied := &fs.PathError{Op: "open", Path: b.path("secret.log"), Err: fs.ErrPermission}
	if cause, fix := explain(b.path("secret.log"), denied); !strings.Contains(cause, "may not read") || !strings.Contains(cause, "-rw-r-----") || !strings.Contains(fix, fmt.Sprintf("group_add: [\"%d\"]", os.Getegid())) {
		t.Errorf("%s %s", cause, fix)
	}
	if err := os.Chmod(b.path("secret.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, fix := explain(b.path("secret.log"), denied); strings.Contains(fix, "group_add") {
		t.Errorf("the group may not read it: %s", fix)
	}
	if cause, _ := explain("/no/such/file", denied); !strings.Contains(cause, "folder") {
		t.Error(cause)
	}
}
