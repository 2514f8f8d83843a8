package cause

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// network is what kind of failure an error of the network is, and a detail of it
// for people; Other if it is none that is known.
func network(err error) (kind Kind, detail string) {
	var late *Late
	if errors.As(err, &late) && late.Connected {
		return NoAnswer, ""
	} else if late != nil {
		return NoConnection, ""
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // whose text has no URL, in which anything may be
	}
	if kind, detail = ofTLS(err); kind != "" {
		return kind, detail
	}
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return UnknownHost, name.Name
	case errors.As(err, &name):
		return NameServer, name.Name
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused, ""
	case isOneOf(err, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN):
		return Unreachable, ""
	case isOneOf(err, context.DeadlineExceeded, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		if dialing(err) {
			return NoConnection, ""
		}
		return NoAnswer, ""
	case isOneOf(err, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed):
		return Closed, ""
	case errors.Is(err, syscall.ENOSPC):
		return DiskFull, ""
	}
	return byText(err.Error())
}

func isOneOf(err error, all ...error) bool {
	for _, one := range all {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

func dialing(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// ofTLS is what kind of failure an error of a TLS connection is; "" if it is none.
func ofTLS(err error) (kind Kind, detail string) {
	var header tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &header):
		return PlainHTTP, ""
	case errors.As(err, &authority):
		return Certificate, "it is signed by an authority that the collector does not know"
	case errors.As(err, &name):
		return Certificate, "it is for another name than " + name.Host
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Certificate, "it has expired, or is not valid yet"
	case errors.As(err, &invalid):
		return Certificate, "it is not valid"
	}
	return "", ""
}

// What servers that want TLS answer to a plain request: Go's text, and the title of
// nginx's page.
const (
	goWantsTLS    = "Client sent an HTTP request to an HTTPS server."
	nginxWantsTLS = "400 The plain HTTP request was sent to HTTPS port"
)

// SpeaksTLS reports whether an answer, whose body begins so, says that the request was
// plain and the server wants TLS. It must say so and nothing else: servers quote what
// they reject, and that may have the same words.
func SpeaksTLS(answer *http.Response, body []byte) bool {
	if answer.StatusCode != http.StatusBadRequest || answer.Request == nil || answer.Request.URL.Scheme != "http" {
		return false
	}
	if title, is := IsWebPage(body); is {
		return title == nginxWantsTLS
	}
	return string(bytes.TrimSpace(body)) == goWantsTLS
}

// byText is what kind of failure a library's text speaks of, for the errors that have no
// type: those of gRPC, and some of HTTP and TLS. Texts that may be part of a name or an
// address come last.
func byText(text string) (kind Kind, detail string) {
	text = strings.ToLower(text)
	for _, known := range [...]struct {
		part   string
		kind   Kind
		detail string
	}{
		{`malformed http response "\x15\x03`, WantsTLS, ""},
		{`malformed http response "\x00\x00`, WrongProtocol, "gRPC"},
		{"looked like an http/1.1 header", WrongProtocol, "HTTP"},
		{"unexpected http status code received from server", WrongProtocol, "HTTP"},
		{"no application protocol", WrongProtocol, "HTTP"}, // TLS, but not for HTTP/2
		{"malformed http", NotHTTP, ""},
		{"readlooppeekfaillocked: %!w(<nil>)", NotHTTP, ""}, // it speaks before it is asked
		{"server closed idle connection", Closed, ""},
		{"first record does not look like a tls handshake", PlainHTTP, ""},
		{"server gave http response to https client", PlainHTTP, ""},
		{"certificate required", ClientCertificate, ""},
		{"bad certificate", ClientCertificate, ""},
		{"certificate signed by unknown authority", Certificate, "it is signed by an authority that the collector does not know"},
		{"certificate has expired", Certificate, "it has expired, or is not valid yet"},
		{"certificate is valid for", Certificate, "it is for another name"},
		{"certificate is not valid for any names", Certificate, "it has no name"},
		{"cannot validate certificate for", Certificate, "it is for another name"},
		{"failed to verify certificate", Certificate, "it is not valid"},
		{"handshake failure", Handshake, "the two sides have no version or cipher in common"},
		{"protocol version not supported", Handshake, "the two sides have no version in common"},
		{"unrecognized name", Certificate, "the server has none for this name"},
		{"no space left on device", DiskFull, ""},
		{"connection refused", Refused, ""},
		{"no such host", UnknownHost, ""},
		{"produced zero addresses", UnknownHost, ""},
		{"no children to pick from", UnknownHost, ""}, // gRPC, for a name without an address
		{"server misbehaving", NameServer, ""},
		{"no route to host", Unreachable, ""},
		{"network is unreachable", Unreachable, ""},
		{"connection reset by peer", Closed, ""},
		{"broken pipe", Closed, ""},
		{"error reading server preface", Closed, ""},
		{"i/o timeout", NoConnection, ""},
		{"no answer for", NoAnswer, ""},
		{"deadline exceeded", NoAnswer, ""},
	} {
		if strings.Contains(text, known.part) {
			return known.kind, known.detail
		}
	}
	return Other, ""
}
