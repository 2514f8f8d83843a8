package httpclient

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"collector/pkg/cause"
)

// maxWords bounds what is kept of an answer's text, in bytes.
const maxWords = 1024

// maxDrained is how much of an answer is read beyond its beginning, so that its
// connection can be used again.
const maxDrained = 64 << 10

// Beginning reads the beginning of an answer's body, of at most limit bytes, unpacked if
// the server has compressed it although nobody asked for that. What can't be read is
// omitted: the status is known already.
func Beginning(answer *http.Response, limit int64) []byte {
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit))
	if err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxDrained))
	}
	if !strings.EqualFold(answer.Header.Get("Content-Encoding"), "gzip") {
		return body
	}
	zipped, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	plain, _ := io.ReadAll(io.LimitReader(zipped, limit))
	return plain
}

// Words is what an answer, whose body begins as given, says in words, on one
// line and without the request's credentials: the message of a
// google.rpc.Status in protobuf or of an error in JSON, the title of a web
// page, or the text itself.
func Words(answer *http.Response, body []byte) string {
	text := WithoutCredentials(wordsOf(body), answer)
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	return text
}

func wordsOf(body []byte) string {
	if title, is := webPage(body); is {
		return "a web page" + title
	}
	if text := statusOf(body); text != "" {
		return OneLine(text)
	}
	if text := jsonMessage(body); text != "" {
		return OneLine(text)
	}
	if text := OneLine(string(body)); readable(text) {
		return text
	}
	return fmt.Sprintf("(%d bytes that are not text)", len(body))
}

// statusOf is the message of a google.rpc.Status in protobuf, which OTLP, Loki
// and others answer under different content types; "" if body isn't one.
func statusOf(body []byte) string {
	const code, message = 1 << 3, 2<<3 | 2 // its first fields: a varint, bytes; no text begins so
	if len(body) == 0 || body[0] != code && body[0] != message {
		return ""
	}
	var status spb.Status
	if proto.Unmarshal(body, &status) != nil || len(status.ProtoReflect().GetUnknown()) > 0 {
		return ""
	}
	return StatusWords(&status)
}

// StatusWords is a status with the details of it that are for people.
func StatusWords(s *spb.Status) string {
	words := []string{s.GetMessage()}
	if s.GetMessage() == "" && s.GetCode() != 0 {
		words[0] = codes.Code(s.GetCode()).String()
	}
	for _, packed := range s.GetDetails() {
		detail, err := packed.UnmarshalNew()
		if err != nil {
			continue // a kind that isn't known here
		}
		switch d := detail.(type) {
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				words = append(words, v.GetField()+": "+v.GetDescription())
			}
		case *errdetails.QuotaFailure:
			for _, v := range d.GetViolations() {
				words = append(words, v.GetSubject()+": "+v.GetDescription())
			}
		case *errdetails.ErrorInfo:
			words = append(words, strings.TrimSpace(d.GetReason()+" "+d.GetDomain()))
		case *errdetails.LocalizedMessage:
			words = append(words, d.GetMessage())
		}
	}
	return strings.Trim(strings.Join(words, "; "), "; ")
}

// jsonMessage is the message of an error in JSON as Connect, Prometheus, Loki,
// OTLP and OAuth2 have it; "" if body isn't one.
func jsonMessage(body []byte) string {
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return ""
	}
	var message struct {
		Message     string `json:"message"`
		Error       any    `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &message) != nil {
		return ""
	}
	words, _ := message.Error.(string)
	switch {
	case message.Message != "":
		return message.Message
	case words != "" && message.Description != "":
		return words + ": " + message.Description
	}
	return words
}

// webPage reports whether body is the beginning of an HTML document, whatever
// its content type says, and returns its title in quotes and parentheses, if it
// has one.
func webPage(body []byte) (title string, is bool) {
	if title, is = cause.IsWebPage(body); title != "" {
		title = fmt.Sprintf(" (%q)", title)
	}
	return title, is
}

// OneLine is text without line breaks, control characters and what is not
// UTF-8.
func OneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
	return strings.Join(strings.Fields(text), " ")
}

// readable reports whether text is more than a few words among binary data.
func readable(text string) bool {
	return 4*strings.Count(text, string(utf8.RuneError)) <= utf8.RuneCountInString(text)
}
