package docker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/docker/dockertest"
)

func TestLogsFollowFromANanosecondOn(t *testing.T) {
	d := dockertest.New(t)
	id := d.Run(dockertest.Container{})
	base := time.Unix(1136073600, 1)
	for i := range 3 {
		d.Log(id, dockertest.Entry{Time: base.Add(time.Duration(i)), Text: string(rune('a'+i)) + "\n"})
	}
	e := open(t, d, nil)
	r, err := e.Logs(t.Context(), id, LogOptions{Since: base.Add(1), Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := d.Requests()[len(d.Requests())-1].Query.Get("since"); got != "1136073600.000000002" {
		t.Errorf("since %q", got)
	}
	d.AwaitFollowers(id, 1)
	d.Log(id, dockertest.Entry{Time: base.Add(time.Hour), Stream: "stderr", Text: "later\n"})
	d.Stop(id)
	out, err := decode(r)
	if diff := cmp.Diff([]got{{2, "stdout", "b", false}, {3, "stdout", "c", false}, {1, "stderr", "later", false}}, out); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestLogsOfATTY(t *testing.T) {
	d := dockertest.New(t)
	id := d.Run(dockertest.Container{TTY: true})
	long := strings.Repeat("x", 40_000)
	d.Print(id, "stdout", "one\n"+long+"\n")
	d.Stop(id)
	r, err := open(t, d, nil).Logs(t.Context(), id, LogOptions{TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := decode(r)
	text := ""
	for _, f := range out {
		text += f.Text
		if !f.Partial {
			text += "\n"
		}
	}
	if want := "one\n" + long + "\n"; text != want || err != nil {
		t.Errorf("%d frames with %d bytes, want %d; %v", len(out), len(text), len(want), err)
	}
}

func TestWhyLogsCannotBeOpened(t *testing.T) {
	d := dockertest.New(t)
	e := open(t, d, nil)
	_, err := e.Logs(t.Context(), "missing", LogOptions{})
	if !IsNotFound(err) || IsUnreadable(err) {
		t.Errorf("missing: %v", err)
	}
	if _, err = e.Inspect(t.Context(), "missing"); !IsNotFound(err) {
		t.Errorf("missing: %v", err)
	}
	id := d.Run(dockertest.Container{LogDriver: "none"})
	if _, err = e.Logs(t.Context(), id, LogOptions{}); !IsUnreadable(err) || IsNotFound(err) {
		t.Errorf("unreadable: %v", err)
	}
	d.Fail("/containers/", http.StatusConflict, "can not get logs from container which is dead or marked for removal")
	if _, err = e.Logs(t.Context(), id, LogOptions{}); !IsNotFound(err) {
		t.Errorf("being removed: %v", err)
	}
	d.Fail("/containers/", http.StatusInternalServerError, "boom")
	if _, err = e.Logs(t.Context(), id, LogOptions{}); err == nil || IsNotFound(err) || IsUnreadable(err) {
		t.Errorf("internal error: %v", err)
	}
	if IsNotFound(nil) || IsUnreadable(nil) || IsCorrupt(nil) {
		t.Error("no error is an error")
	}
}

func TestALogThatTheEngineCannotReadIsCorrupt(t *testing.T) {
	d := dockertest.New(t)
	id := d.Run(dockertest.Container{})
	d.Log(id, dockertest.Entry{Text: "before\n"}, dockertest.Entry{Err: "invalid character '\\x00' looking for beginning of value"})
	r, err := open(t, d, nil).Logs(t.Context(), id, LogOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := decode(r); len(out) != 1 || !IsCorrupt(err) {
		t.Errorf("%v, %v", out, err)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after that: %v", err)
	}
}

func TestTheClientsTimeoutDoesNotCutALogThatIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		id := d.Run(dockertest.Container{})
		client := d.Client()
		client.Timeout = time.Second
		e, err := NewPool(nil).Engine(Config{Host: d.Host(), Client: client})
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.Logs(t.Context(), id, LogOptions{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(24 * time.Hour)
		d.Print(id, "stdout", "still here\n")
		if f, err := r.Next(); err != nil || string(f.Text) != "still here" {
			t.Errorf("%q, %v", f.Text, err)
		}
		r.Close()
	})
}

func TestClosingOrCancelingEndsReading(t *testing.T) {
	d := dockertest.New(t)
	id := d.Run(dockertest.Container{})
	e := open(t, d, nil)
	ctx, cancel := context.WithCancel(t.Context())
	byContext, err := e.Logs(ctx, id, LogOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	byClose, err := e.Logs(t.Context(), id, LogOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	cut, err := e.Logs(t.Context(), id, LogOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	d.AwaitFollowers(id, 3)
	cancel()
	if _, err := byContext.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("canceled: %v", err)
	}
	byClose.Close()
	if _, err := byClose.Next(); err == nil {
		t.Errorf("closed: %v", err)
	}
	d.CutConnections()
	if _, err := cut.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("cut: %v", err)
	}
	d.AwaitFollowers(id, 0)
}
