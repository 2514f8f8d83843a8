package otlptest

import (
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Peer is one end of an HTTP/2 connection that does only what a test says, and records
// what the other end does. It acknowledges settings and, unless it is silent, pings.
type Peer struct {
	conn   net.Conn
	silent bool
	out    chan func(*http2.Framer) error // for the goroutine that writes
	done   chan struct{}                  // closed when the connection has ended

	mu   sync.Mutex
	seen Seen // guarded by mu
}

// Seen is what an end of a connection has done.
type Seen struct {
	Settings map[http2.SettingID]uint32
	Pings    int
	GoAways  []http2.ErrCode
	Resets   map[uint32]http2.ErrCode // by stream
	Closed   bool                     // the connection
}

// ServingPeer is the server of conn, which answers no request.
func ServingPeer(t testing.TB, conn net.Conn) *Peer { return newPeer(t, conn, false, false) }

// SilentPeer is a ServingPeer that does not acknowledge pings either.
func SilentPeer(t testing.TB, conn net.Conn) *Peer { return newPeer(t, conn, false, true) }

// CallingPeer is the client of conn.
func CallingPeer(t testing.TB, conn net.Conn) *Peer { return newPeer(t, conn, true, false) }

// SilentCaller is a CallingPeer that does not acknowledge pings.
func SilentCaller(t testing.TB, conn net.Conn) *Peer { return newPeer(t, conn, true, true) }

func newPeer(t testing.TB, conn net.Conn, calls, silent bool) *Peer {
	p := &Peer{
		conn: conn, silent: silent, out: make(chan func(*http2.Framer) error, 64), done: make(chan struct{}),
		seen: Seen{Settings: make(map[http2.SettingID]uint32), Resets: make(map[uint32]http2.ErrCode)},
	}
	var running sync.WaitGroup
	running.Go(func() { p.write(calls) })
	running.Go(func() { p.read(calls) })
	t.Cleanup(func() {
		conn.Close()
		running.Wait()
	})
	return p
}

// write writes until the connection ends.
func (p *Peer) write(calls bool) {
	if calls {
		_, _ = io.WriteString(p.conn, http2.ClientPreface) // if it fails, so does reading
	}
	framer := http2.NewFramer(p.conn, nil)
	_ = framer.WriteSettings()
	for {
		select {
		case send := <-p.out:
			_ = send(framer)
		case <-p.done:
			return
		}
	}
}

// send has f written, unless the connection is closed.
func (p *Peer) send(f func(*http2.Framer) error) {
	select {
	case p.out <- f:
	case <-p.done:
	}
}

// read records what arrives until the connection ends.
func (p *Peer) read(calls bool) {
	defer close(p.done)
	defer p.note(func(s *Seen) { s.Closed = true })
	defer p.conn.Close()
	if !calls {
		if _, err := io.CopyN(io.Discard, p.conn, int64(len(http2.ClientPreface))); err != nil {
			return
		}
	}
	framer := http2.NewFramer(nil, p.conn)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			p.set(f)
		case *http2.PingFrame:
			p.pinged(f)
		case *http2.GoAwayFrame:
			code := f.ErrCode
			p.note(func(s *Seen) { s.GoAways = append(s.GoAways, code) })
		case *http2.RSTStreamFrame:
			stream, code := f.StreamID, f.ErrCode
			p.note(func(s *Seen) { s.Resets[stream] = code })
		}
	}
}

func (p *Peer) set(f *http2.SettingsFrame) {
	if f.IsAck() {
		return
	}
	p.note(func(s *Seen) {
		_ = f.ForeachSetting(func(setting http2.Setting) error {
			s.Settings[setting.ID] = setting.Val
			return nil
		})
	})
	p.send(func(framer *http2.Framer) error { return framer.WriteSettingsAck() })
}

func (p *Peer) pinged(f *http2.PingFrame) {
	if f.IsAck() {
		return
	}
	p.note(func(s *Seen) { s.Pings++ })
	if data := f.Data; !p.silent {
		p.send(func(framer *http2.Framer) error { return framer.WritePing(true, data) })
	}
}

func (p *Peer) note(what func(*Seen)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what(&p.seen)
}

// Seen is what the other end has done so far.
func (p *Peer) Seen() Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seen
	s.Settings, s.Resets, s.GoAways = maps.Clone(s.Settings), maps.Clone(s.Resets), slices.Clone(s.GoAways)
	return s
}

// Ping pings the other end.
func (p *Peer) Ping() {
	p.send(func(framer *http2.Framer) error { return framer.WritePing(false, [8]byte{'t', 'e', 's', 't'}) })
}

// Call makes a gRPC call of a method on a stream of its own.
func (p *Peer) Call(stream uint32, method string, message []byte) {
	var header bytes.Buffer
	names := hpack.NewEncoder(&header)
	names.SetMaxDynamicTableSize(0) // so that each header is complete in itself
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "test"},
		{"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		_ = names.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // a buffer takes all
	}
	p.send(func(framer *http2.Framer) error {
		return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header.Bytes(), EndHeaders: true})
	})
	data := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	p.send(func(framer *http2.Framer) error { return framer.WriteData(stream, true, data) })
}
