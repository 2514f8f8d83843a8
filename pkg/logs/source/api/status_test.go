package api

import (
	"net/http"
	"strings"
	"testing"

	"collector/pkg/inspect"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

// A full queue says nothing about the request.
func TestOnlyWhatIsWrongInRequestsIsNotValid(t *testing.T) {
	full := &logstest.Sink{Fail: func(int) error { return pipeline.ErrFull }}
	s := start(t, config(full), nil)
	if status, _ := s.postJSON(t, one(`{"a":"b"}`, "x")); status != http.StatusServiceUnavailable {
		t.Fatal(status)
	}
	if tail := s.LogTails()[0]; tail.Invalid != 0 || tail.Problem == "" {
		t.Errorf("%+v", tail)
	}
	if shown := s.status(); shown.Refused != 1 {
		t.Errorf("%+v", shown)
	}
}

func TestTheServerIsShownAsATail(t *testing.T) {
	var sink logstest.Sink
	s := start(t, config(&sink), nil)
	if status, text := s.post(t, rawPath, []byte("one\ntwo\n")); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, text)
	}
	if status, _ := s.post(t, pushPath, []byte("{"), "Content-Type", "application/json"); status != http.StatusBadRequest {
		t.Fatal(status)
	}
	all := s.LogTails()
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	tail := all[0]
	if tail.Kind != inspect.TailListener || tail.Lines != 2 || tail.Bytes != 6 || tail.Received != 2 || tail.Invalid != 1 || tail.Cursor.IsZero() || tail.Error != "" || tail.State != "reading" {
		t.Errorf("%+v", tail)
	}
	if !strings.HasPrefix(tail.Problem, "127.0.0.1:") || tail.ProblemAt.IsZero() || "http "+strings.TrimPrefix(s.url, "http://") != tail.Container {
		t.Errorf("%+v", tail)
	}
}
