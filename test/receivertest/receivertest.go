// Package receivertest has the tests that every listener passes: clients that send
// invalid, too much or too slow data are refused, and do not affect others. It is for a
// collector in a process of its own, with little memory.
package receivertest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"collector/test/harness"
)

const (
	mib = 1 << 20
	// slowClients is how many begin a request of slowSize and stop after slowSent.
	slowClients, slowSize, slowSent = 50, 4 * mib, 3 * mib
	// rounds is how often each other bad request is made, by bad clients at once.
	rounds, badClients = 4, 4
	// bombSize is what a bomb unpacks to.
	bombSize = 128 * mib
	patience = time.Minute
)

// Listener is one that is tested.
type Listener struct {
	Name string
	// URL is where clients send to by HTTP, or the method of gRPC.
	URL    string
	GRPC   bool
	Header map[string]string // of each request
	// Limit is the most that a request may have; 0: it has no body that counts.
	Limit int64
	// Unpacks: it accepts requests that are compressed with gzip.
	Unpacks bool
	// Bad are requests that have to be refused: nested deeper than anyone needs, or
	// of which a decoder makes many times their size.
	Bad []Body
	// SameAddress: the bad clients send from 127.0.0.1, as the good one does, and not
	// from addresses of their own. Memory and connections are divided by address.
	SameAddress bool
	// Good sends a good request, of that number, from 127.0.0.1.
	Good func(number int) error
}

// Body is one bad request.
type Body struct {
	Name   string
	Data   []byte
	Packed bool              // with gzip
	Header map[string]string // instead of the Listener's
}

// Test sends bad requests of every kind beside good ones, and checks that all good ones
// are accepted and all bad ones refused.
func (l Listener) Test(t *testing.T, good int) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var begun, slow, bad sync.WaitGroup
	for client := range slowClients {
		begun.Add(1)
		stuck := sync.OnceFunc(begun.Done)
		slow.Go(func() {
			defer stuck()
			_ = l.slow(l.as(ctx, client), stuck) // it ends with ctx, or when it is refused
		})
	}
	begun.Wait()
	for _, attack := range l.attacks(t) {
		for client := range badClients {
			bad.Go(func() {
				for range rounds {
					if err := attack.send(l.as(ctx, slowClients+client), l); err != nil {
						t.Errorf("%s: %v", attack.name, err)
						return
					}
				}
			})
		}
	}
	for i := range good {
		harness.Eventually(t, patience, func() error { return l.Good(i) })
	}
	bad.Wait()
	cancel()
	slow.Wait()
}

// dialerKey is the key of a context's *net.Dialer.
type dialerKey struct{}

// as is ctx for the requests of that bad client.
func (l Listener) as(ctx context.Context, client int) context.Context {
	address := net.IPv4(127, 0, 0, byte(2+client))
	if l.SameAddress {
		address = net.IPv4(127, 0, 0, 1)
	}
	return context.WithValue(ctx, dialerKey{}, &net.Dialer{LocalAddr: &net.TCPAddr{IP: address}})
}

// dialAs connects as the client of ctx.
func dialAs(ctx context.Context, network, address string) (net.Conn, error) {
	dialer, ok := ctx.Value(dialerKey{}).(*net.Dialer)
	if !ok {
		return nil, errors.New("BUG: the request is nobody's")
	}
	return dialer.DialContext(ctx, network, address)
}

// attack is a kind of bad request.
type attack struct {
	name string
	send func(ctx context.Context, l Listener) error
}

func (l Listener) attacks(t *testing.T) (out []attack) {
	add := func(name string, send func(context.Context, Listener) error) { out = append(out, attack{name, send}) }
	if !l.GRPC {
		add("a page of another site", otherSite)
	}
	if l.Limit > 0 {
		add("a body that is announced as too large", announced)
		add("a body without a length that is too large", unannounced)
	}
	bodies := l.Bad
	if l.Unpacks {
		bodies = append([]Body{{Name: "a bomb", Data: bomb(t), Packed: true}}, bodies...)
	}
	for _, b := range bodies {
		if b.Header == nil {
			b.Header = l.Header
		}
		add(b.Name, func(ctx context.Context, l Listener) error { return l.refuses(ctx, b) })
	}
	return out
}

// bomb is so many zeros, compressed.
func bomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.CopyN(w, zeros{}, bombSize); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// errTaken says that a bad request was accepted.
var errTaken = errors.New("it was taken")

// refuses sends a body, which has to be refused: with an answer.
func (l Listener) refuses(ctx context.Context, b Body) error {
	header, body := maps.Clone(b.Header), b.Data
	if l.GRPC {
		flag := byte(0)
		if b.Packed {
			header["Grpc-Encoding"], flag = "gzip", 1
		}
		body = append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(body))), body...)
	} else if b.Packed {
		header["Content-Encoding"] = "gzip"
	}
	answer, err := l.send(ctx, bytes.NewReader(body), int64(len(body)), header)
	if err != nil {
		return fmt.Errorf("it is not answered: %w", err)
	}
	return answer.refused()
}

// answer is an answer by HTTP or gRPC.
type answer struct {
	status int
	grpc   string // its status; empty: none
	text   string
}

// refused is nil for an answer that refuses, permanently or for now.
func (a answer) refused() error {
	switch {
	case a.grpc != "" && a.grpc != "0", a.status/100 == 4, a.status == http.StatusServiceUnavailable:
		return nil
	case a.status/100 == 2:
		return errTaken
	}
	return fmt.Errorf("it is answered %d %s", a.status, a.text)
}

// send sends a request on a connection of its own.
func (l Listener) send(ctx context.Context, body io.Reader, size int64, header map[string]string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URL, body)
	if err != nil {
		return answer{}, err
	}
	r.ContentLength = size
	for name, value := range header {
		r.Header.Set(name, value)
	}
	transport := &http.Transport{DialContext: dialAs}
	if l.GRPC {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
		r.Header.Set("Content-Type", "application/grpc")
		r.Header.Set("Te", "trailers")
	}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil && !l.GRPC {
		return answer{}, err
	}
	return answer{resp.StatusCode, resp.Header.Get("Grpc-Status") + resp.Trailer.Get("Grpc-Status"), string(text)}, nil
}

// otherSite sends what a browser sends for a page of another site.
func otherSite(ctx context.Context, l Listener) error {
	header := maps.Clone(l.Header)
	header["Origin"] = "http://elsewhere.example"
	a, err := l.send(ctx, strings.NewReader("x"), 1, header)
	if err == nil && a.status != http.StatusForbidden {
		err = fmt.Errorf("it is answered %d %s, want 403", a.status, a.text)
	}
	return err
}

// announced begins a request that says that it is larger than allowed, and sends
// none of it. The listener has to say so, and not that it came too slowly.
func announced(ctx context.Context, l Listener) error {
	if l.GRPC {
		begin := binary.BigEndian.AppendUint32([]byte{0}, uint32(l.Limit+1))
		return gone(l.send(ctx, io.MultiReader(bytes.NewReader(begin), until{ctx, func() {}}), -1, l.Header))
	}
	conn, err := l.dial(ctx, l.Limit+1)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	status := make([]byte, len("HTTP/1.1 400"))
	if _, err := io.ReadFull(conn, status); err != nil || string(status[9:]) != "400" && string(status[9:]) != "413" {
		return fmt.Errorf("it is answered %q: %v", status, err)
	}
	return nil
}

// unannounced sends more than allowed without announcing it. The listener may cut the
// connection while it sends.
func unannounced(ctx context.Context, l Listener) error {
	var body io.Reader = io.LimitReader(zeros{}, l.Limit+mib)
	if l.GRPC {
		body = io.MultiReader(bytes.NewReader(binary.BigEndian.AppendUint32([]byte{0}, uint32(l.Limit+mib))), body)
	}
	return gone(l.send(ctx, body, -1, l.Header))
}

// gone is nil for a request that was refused, or whose connection was cut.
func gone(a answer, err error) error {
	if err != nil {
		return nil
	}
	return a.refused()
}

// until is a body that does not go on until ctx ends.
type until struct {
	ctx   context.Context
	stuck func() // called when all before it has been read
}

func (r until) Read([]byte) (int, error) {
	r.stuck()
	<-r.ctx.Done()
	return 0, r.ctx.Err()
}

// slow begins a request that does not end, and calls stuck when it has sent what
// it has.
func (l Listener) slow(ctx context.Context, stuck func()) error {
	if l.GRPC {
		begin := binary.BigEndian.AppendUint32([]byte{0}, slowSize)
		_, err := l.send(ctx, io.MultiReader(bytes.NewReader(begin), io.LimitReader(zeros{}, slowSent), until{ctx, stuck}), -1, l.Header)
		return err
	}
	conn, err := l.dial(ctx, slowSize)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.CopyN(conn, zeros{}, slowSent); err != nil {
		return err
	}
	stuck()
	_, err = io.Copy(io.Discard, conn) // until it is answered, cut, or ctx ends
	return err
}

// dial connects and sends the header of a request of that size.
func (l Listener) dial(ctx context.Context, size int64) (net.Conn, error) {
	u, err := url.Parse(l.URL)
	if err != nil {
		return nil, err
	}
	conn, err := dialAs(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	header := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", u.RequestURI(), u.Host, size)
	for name, value := range l.Header {
		header += name + ": " + value + "\r\n"
	}
	if _, err := io.WriteString(conn, header+"\r\n"); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
