package httpclient

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func TestAnswersAreShownInWords(t *testing.T) {
	details, err := anypb.New(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "labels", Description: "too many"}}})
	if err != nil {
		t.Fatal(err)
	}
	inProtobuf := func(s *spb.Status) string {
		data, err := proto.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	long := strings.Repeat("max entry size exceeded ", 8) // its length has two bytes, as Loki's has
	for body, want := range map[string]string{
		"":                                    "",
		" entry out of\norder ":               "entry out of order",
		inProtobuf(&spb.Status{Message: "x"}): "x",
		inProtobuf(&spb.Status{Code: 3, Message: long}):                                    strings.TrimSpace(long),
		inProtobuf(&spb.Status{Message: long}):                                             strings.TrimSpace(long),
		inProtobuf(&spb.Status{Code: 3}):                                                   "InvalidArgument",
		inProtobuf(&spb.Status{Message: "bad", Details: []*anypb.Any{details}}):            "bad; labels: too many",
		`{"code":"resource_exhausted","message":"limit\n10"}`:                              "limit 10",
		`{"status":"error","error":"out of bounds"}`:                                       "out of bounds",
		`{"error":"invalid_client","error_description":"unknown"}`:                         "invalid_client: unknown",
		`{"error":{"no":"words"}}`:                                                         `{"error":{"no":"words"}}`,
		`{"message":`:                                                                      `{"message":`,
		"<html><head><title>502 Bad&nbsp;Gateway</title></head><body><h1>Bad Gateway</h1>": `a web page ("502 Bad Gateway")`,
		"<html><body>":             "a web page",
		"\x1f\x8b\x08\x00\x00\xff": "(6 bytes that are not text)",
		"shade\xff of paint":       "shade\uFFFD of paint",
		"\x12\xff\xff":             "(3 bytes that are not text)",
	} {
		if got := Words(&http.Response{}, []byte(body)); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
	answer := &http.Response{Request: &http.Request{Header: http.Header{"X-Api-Key": {"s3cret-key"}}}}
	if got := Words(answer, []byte(inProtobuf(&spb.Status{Message: "no s3cret-key"}))); got != "no (secret)" {
		t.Errorf("%q", got)
	}
	if got := Words(answer, []byte(strings.Repeat("ä", 10_000))); len(got) > maxWords+len("…") || !strings.HasSuffix(got, "ä…") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
