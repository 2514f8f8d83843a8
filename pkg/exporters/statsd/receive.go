package statsd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/prometheus/statsd_exporter/pkg/event"

	"collector/pkg/listen"
)

const (
	// maxPacket is the longest datagram that there is.
	maxPacket = 64 << 10
	// maxLine is the longest line, as in statsd_exporter by TCP.
	maxLine = 4 << 10
	// maxEvents is how many events one line may make: a sample of a timer with the
	// factor @0.001 counts as a thousand.
	maxEvents = 10_000
)

// line takes one line.
func (s *StatsD) line(q *queue, text, client string) {
	s.metrics.lines.Inc()
	if s.relay != nil {
		s.relay.add(text)
	}
	reason := ""
	switch {
	case len(text) > maxLine:
		reason = "line_too_long"
	case expands(text):
		reason = "invalid_sample_factor"
	default:
		events := s.parse(text)
		q.add(events)
		s.tally.Accept(signal, len(events))
		if len(events) > 0 || text == "" {
			return
		}
		s.tally.Refuse("invalid", client, errors.New("a line is not valid StatsD, or has no samples"))
		return
	}
	s.metrics.sampleErrors.WithLabelValues(reason).Inc()
	s.tally.Refuse(reason, client, fmt.Errorf("a line is rejected: %s", strings.ReplaceAll(reason, "_", " ")))
}

// expands reports whether the sampling factors of a line make too many events of it. It
// finds the samples as the library does: several values before the first "|" have the rest
// of the line in common; otherwise each ":" begins a sample, unless the line has tags.
func expands(text string) bool {
	_, text, _ = strings.Cut(text, ":")
	values, rest, _ := strings.Cut(text, "|")
	if n := strings.Count(values, ":"); n > 0 || strings.Contains(text, "|#") {
		return float64(n+1)*times(rest) > maxEvents
	}
	events := 0.0
	for sample := range strings.SplitSeq(text, ":") {
		_, rest, _ := strings.Cut(sample, "|")
		events += times(rest)
	}
	return events > maxEvents
}

// times is how many events what follows a value makes of it. The factors of counters and
// gauges make no more of them.
func times(rest string) float64 {
	kind, rest, _ := strings.Cut(rest, "|")
	n := 1.0
	if kind != "ms" && kind != "h" && kind != "d" {
		return n
	}
	for part := range strings.SplitSeq(rest, "|") {
		if factor, sampled := strings.CutPrefix(part, "@"); sampled {
			if f, err := strconv.ParseFloat(factor, 64); err == nil && f > 0 {
				n = max(n, 1/f)
			}
		}
	}
	return n
}

// parse makes events of a line. A panic of the library costs the line.
func (s *StatsD) parse(text string) (events event.Events) {
	defer func() {
		if why := recover(); why != nil {
			events = nil
			s.metrics.sampleErrors.WithLabelValues("panic").Inc()
			s.quiet.Warn(s.o.Logger, "panic", "BUG: a line made the parser panic", "panic", fmt.Sprint(why))
		}
	}()
	m := s.metrics
	return s.parser.LineToEvents(text, *m.sampleErrors, m.samples, m.tagErrors, m.tags, s.silent)
}

// packet takes the lines of a datagram.
func (s *StatsD) packet(q *queue, text []byte, client string) {
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		s.line(q, string(line), client)
	}
}

// receiveUDP takes datagrams until ctx ends. While the queue is full, the kernel holds
// them, and drops what is too much.
func (s *StatsD) receiveUDP(ctx context.Context, q *queue, from *listen.Packets) error {
	defer from.Close()
	defer context.AfterFunc(ctx, func() { from.Close() })()
	buf := make([]byte, maxPacket)
	var lost uint64
	for {
		n, address, err := from.Read(buf)
		if now := from.Lost(); now > lost {
			s.metrics.udpDrops.Add(float64(now - lost))
			s.quiet.Warn(s.o.Logger, "lost", "datagrams dropped: they arrive faster than they are read", "datagrams", now-lost)
			lost = now
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read StatsD datagrams on %s: %w", from.Addr(), err)
		}
		s.metrics.udpPackets.Inc()
		s.packet(q, buf[:n], address.Addr().Unmap().String())
	}
}

// receiveTCP accepts connections until ctx ends.
func (s *StatsD) receiveTCP(ctx context.Context, q *queue, from net.Listener) error {
	from = s.limit.Listener(from)
	defer from.Close()
	defer context.AfterFunc(ctx, func() { from.Close() })()
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		c, err := from.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept StatsD connections on %s: %w", from.Addr(), err)
		}
		s.metrics.tcpConnections.Inc()
		serving.Go(func() { s.serve(ctx, q, c) })
	}
}

// serve reads the lines of a connection until it, or ctx, ends.
func (s *StatsD) serve(ctx context.Context, q *queue, c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	client := listen.ClientOf(c.RemoteAddr().String())
	lines := bufio.NewScanner(c)
	lines.Buffer(make([]byte, 0, 512), maxLine)
	for lines.Scan() {
		s.line(q, lines.Text(), client)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		s.metrics.tcpTooLong.Inc()
		s.tally.Refuse("line_too_long", client, fmt.Errorf("a line is longer than %d bytes; the connection is closed", maxLine))
	case err != nil && ctx.Err() == nil:
		s.metrics.tcpErrors.Inc()
	}
}

// receiveUnix takes the datagrams of the Unix socket until ctx ends.
func (s *StatsD) receiveUnix(ctx context.Context, q *queue) error {
	conn, err := s.listenUnix()
	if err != nil {
		return err
	}
	defer os.Remove(s.config.ListenUnixgram)
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	buf := make([]byte, maxPacket)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read StatsD datagrams on %s: %w", s.config.ListenUnixgram, err)
		}
		s.metrics.unixgramPackets.Inc()
		s.packet(q, buf[:n], "unix")
	}
}

// listenUnix makes the Unix socket. One that a killed process has left behind is
// removed.
func (s *StatsD) listenUnix() (*net.UnixConn, error) {
	address := &net.UnixAddr{Net: "unixgram", Name: s.config.ListenUnixgram}
	conn, err := net.ListenUnixgram("unixgram", address)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(address) && os.Remove(address.Name) == nil {
		conn, err = net.ListenUnixgram("unixgram", address)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (set by listen_unixgram): %w", address.Name, err)
	}
	if s.config.ReadBuffer > 0 {
		if err := conn.SetReadBuffer(s.config.ReadBuffer); err != nil {
			conn.Close()
			return nil, fmt.Errorf("set read_buffer of %s: %w", address.Name, err)
		}
	}
	if mode, err := s.config.mode(); err == nil && !strings.HasPrefix(address.Name, "@") {
		if err := os.Chmod(address.Name, fs.FileMode(mode)); err != nil {
			conn.Close()
			return nil, fmt.Errorf("set unix_socket_mode: %w", err)
		}
	}
	return conn, nil
}

// abandoned reports whether nobody reads from a socket.
func abandoned(address *net.UnixAddr) bool {
	conn, err := net.DialUnix("unixgram", nil, address)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
