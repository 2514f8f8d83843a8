package otlp

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"collector/pkg/cause"
	"collector/pkg/deliver"
	"collector/pkg/deliver/httpsend"
	"collector/pkg/httpclient"
)

// grpcError says what a failed call means, as OTLP has it. Moreover, what a change of
// either side's configuration fixes is held back rather than lost: wrong credentials, and
// a server that lacks the service.
func grpcError(err error, plain bool) *deliver.Error {
	st := status.Convert(err)
	text := st.Message()
	said := st.Proto()
	said.Code = 0 // which is shown in any case
	words := httpclient.OneLine(httpclient.StatusWords(said))
	e := &deliver.Error{Err: &cause.RPC{Err: fmt.Errorf("%s: %s%s", st.Code(), words, grpcHint(text, plain)), Code: st.Code().String(), Words: words}}
	switch st.Code() {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.AlreadyExists:
		e.Rejected = true
	case codes.Internal:
		// A server that cannot decode a request answers like this, and always will.
		e.Rejected = strings.Contains(text, "unmarshal")
	case codes.ResourceExhausted:
		if tooLargeText(text) {
			e.Rejected, e.TooLarge = true, true
		}
	}
	if !e.Rejected {
		e.RetryAfter = httpsend.RetryInfo(said)
		// The client itself reports this for a connection that it cannot make.
		e.Unreachable = st.Code() == codes.Unavailable && e.RetryAfter == 0 ||
			st.Code() == codes.DeadlineExceeded && strings.Contains(text, "waiting for connection") ||
			closing(err)
	}
	return e
}

// tooLargeText reports whether a server complains about the size of a message. Such an
// answer has the code of an exhausted quota. The last of the texts is what this program's
// receiver says, now and in older versions.
func tooLargeText(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{"larger than max", "message size", "exceeds maximum size", "larger than the receiver"},
		func(part string) bool { return strings.Contains(text, part) })
}

// grpcHint explains the library's words for what is usually a wrong setting.
func grpcHint(text string, plain bool) string {
	switch {
	case strings.Contains(text, "first record does not look like a TLS handshake"):
		return "; the server speaks plain text: set client > tls > insecure = true"
	case strings.Contains(text, "looked like an HTTP/1.1 header"), strings.Contains(text, "unexpected HTTP status code received from server"):
		return "; this looks like OTLP/HTTP: use the gRPC port, usually 4317, or otelcol.exporter.otlphttp"
	case plain && strings.Contains(text, "error reading server preface: EOF"):
		return "; the server may require TLS: remove client > tls > insecure"
	}
	return ""
}
