package otlp

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"net/http"
	"testing"

	"google.golang.org/grpc/encoding"

	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// fuzzedLimit is max_recv_msg_size of the receiver that is fuzzed.
const fuzzedLimit = 64 << 10

// framed is a message as gRPC sends it.
func framed(flag byte, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message))), message...)
}

// messageIn is the message of a request's body: the first one, as a unary call has no
// other. ok: the receiver has to accept it.
func messageIn(s pipeline.Signal, compression string, body []byte) (message []byte, ok bool) {
	if len(body) < 5 {
		return nil, false
	}
	size := int64(binary.BigEndian.Uint32(body[1:5]))
	if size > fuzzedLimit || size > int64(len(body)-5) {
		return nil, false
	}
	message = body[5 : 5+size]
	if body[0] != 0 {
		if message, ok = unpacked(compression, message); !ok {
			return nil, false
		}
	}
	_, _, err := wire.Measure(s, message)
	return message, err == nil
}

// unpacked is what packed holds, if that is not too much; gzip is read by another
// library than the receiver's.
func unpacked(compression string, packed []byte) (message []byte, ok bool) {
	var r io.Reader
	var err error
	switch c := encoding.GetCompressor(compression); {
	case c == nil:
		return nil, false
	case compression == "gzip":
		r, err = gzip.NewReader(bytes.NewReader(packed))
	default:
		r, err = c.Decompress(bytes.NewReader(packed))
	}
	if err != nil {
		return nil, false
	}
	message, err = io.ReadAll(io.LimitReader(r, fuzzedLimit+1))
	return message, err == nil && len(message) <= fuzzedLimit
}

// statusOfBody sends a body to the method Export, and returns the status of the
// answer: gRPC's, in its header or trailer. The header does not end the stream, as it
// doesn't with gRPC's clients.
func statusOfBody(t *testing.T, transport *http.Transport, address string, s pipeline.Signal, compression string, body []byte) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/"+rawgrpc.Service(s)+"/Export", struct{ io.Reader }{bytes.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	if compression != "" {
		r.Header.Set("Grpc-Encoding", compression)
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatalf("it is not answered: %v", err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil { // the trailer follows it
		t.Fatalf("the answer does not end: %v", err)
	}
	return answer.Header.Get("Grpc-Status") + answer.Trailer.Get("Grpc-Status")
}

// FuzzGRPCRequest: whatever the body of a call is, it is answered with a status; a
// message that is valid is accepted as it was sent, and nothing else is; and the memory
// that was claimed is given back.
func FuzzGRPCRequest(f *testing.F) {
	compressions := []string{"", "gzip", "zstd", "snappy", "zlib", "br"}
	const plain, gzipped = 0, 1
	for i, s := range flow.Signals() {
		valid := otlptest.Request(f, s, 1, 1, 1, 3)
		packed := otlptest.Compress(f, compression.New("gzip", compression.Fastest, 0), valid)
		for which, body := range map[byte][]byte{plain: framed(0, valid), gzipped: framed(1, packed)} {
			f.Add(byte(i), which, body)
			f.Add(byte(i), which, body[:len(body)/2])
			f.Add(byte(i), which, append(bytes.Clone(body), body...))
		}
		f.Add(byte(i), byte(gzipped), framed(0, valid))
		f.Add(byte(i), byte(plain), framed(1, packed)) // the encoding is not named
		f.Add(byte(i), byte(gzipped), framed(1, packed[:len(packed)-1]))
	}
	f.Add(byte(0), byte(plain), []byte{})
	f.Add(byte(0), byte(plain), framed(0, nil))
	f.Add(byte(0), byte(gzipped), framed(1, nil))
	f.Add(byte(0), byte(plain), []byte{0, 0xff, 0xff, 0xff, 0xff})
	f.Add(byte(0), byte(plain), framed(0, make([]byte, fuzzedLimit+1)))
	f.Add(byte(0), byte(gzipped), framed(1, otlptest.Compress(f, compression.New("gzip", compression.Fastest, 0), make([]byte, fuzzedLimit+1))))
	f.Add(byte(0), byte(len(compressions)-1), framed(1, []byte("x")))

	var to otlptest.Sink
	sv := serve(f, otlptest.All(&to), func(c *Config) { c.GRPC.MaxRecvMsgSize = fuzzedLimit })
	transport := http2Transport(f)
	f.Fuzz(func(t *testing.T, which, compression byte, body []byte) {
		s, name := flow.Signals()[int(which)%3], compressions[int(compression)%len(compressions)]
		message, ok := messageIn(s, name, body)
		ok = ok && name != "br" // which is refused before the message is looked at
		code := statusOfBody(t, transport, sv.grpc, s, name, body)
		if code == "" || (code == "0") != ok {
			t.Errorf("answered with status %q; the request is valid: %t", code, ok)
		}
		got := to.Taken()
		switch {
		case !ok && len(got) > 0:
			t.Errorf("%d requests were taken, want none", len(got))
		case ok && (len(got) != 1 || got[0].Signal != s || !bytes.Equal(got[0].Data, message)):
			t.Errorf("taken: %v, want the %s %x", got, s, message)
		}
		if used := sv.inFlight.Used(); used != 0 {
			t.Errorf("%d bytes are still claimed", used)
		}
	})
}
