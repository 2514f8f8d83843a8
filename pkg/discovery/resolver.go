package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// askTimeout bounds one question to one server.
	askTimeout = 2 * time.Second
	// maxDatagram is the largest answer over UDP that servers may send; it passes through
	// every network in one piece.
	maxDatagram = 1232
)

// resolver asks the servers of a resolv.conf, as it is at that moment. Go's own resolver
// does not report records that have no host behind them, and can't always distinguish a
// name that does not exist from a server that fails.
type resolver struct {
	file string // resolv.conf
	port string
}

// resolverConfig is what a resolv.conf says.
type resolverConfig struct {
	servers []string
	search  []string
	ndots   int
}

// parseResolvConf reads a resolv.conf. Of several search lists the last counts; lines
// that it does not know are skipped, as every resolver does.
func parseResolvConf(text string) resolverConfig {
	c := resolverConfig{ndots: 1}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			c.servers = append(c.servers, fields[1])
		case "domain":
			c.search = fields[1:2]
		case "search":
			c.search = fields[1:]
		case "options":
			for _, option := range fields[1:] {
				if n, err := strconv.Atoi(strings.TrimPrefix(option, "ndots:")); err == nil && strings.HasPrefix(option, "ndots:") {
					c.ndots = max(0, min(n, 15))
				}
			}
		}
	}
	if len(c.servers) == 0 {
		c.servers = []string{"127.0.0.1", "::1"}
	}
	return c
}

// names are those to ask for, in this order: name in each search domain, and name
// itself, before them if it has as many dots as ndots says.
func (c resolverConfig) names(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	rooted := name + "."
	var out []string
	for _, domain := range c.search {
		if domain = strings.Trim(domain, "."); domain != "" {
			out = append(out, rooted+domain+".")
		}
	}
	if strings.Count(name, ".") >= c.ndots {
		return slices.Insert(out, 0, rooted)
	}
	return append(out, rooted)
}

// lookup returns the records of a type that a name has: none if every server says
// that there is no such name.
func (r resolver) lookup(ctx context.Context, name string, kind dnsmessage.Type) ([]dnsmessage.Resource, error) {
	text, err := os.ReadFile(r.file)
	if err != nil {
		return nil, err
	}
	c := parseResolvConf(string(text))
	var failed error
	for _, full := range c.names(name) {
		answers, exists, err := r.askServers(ctx, c.servers, full, kind)
		if err == nil && exists {
			return answers, nil
		}
		if failed == nil {
			failed = err
		}
	}
	return nil, failed
}

// askServers returns the answer of the first server that has one. exists is whether
// there is such a name.
func (r resolver) askServers(ctx context.Context, servers []string, name string, kind dnsmessage.Type) (answers []dnsmessage.Resource, exists bool, err error) {
	question, err := newQuestion(name, kind)
	if err != nil {
		return nil, false, err
	}
	var errs []error
	for _, server := range servers {
		header, answers, err := r.ask(ctx, net.JoinHostPort(server, r.port), question)
		switch {
		case err != nil:
			errs = append(errs, err)
		case header.RCode == dnsmessage.RCodeSuccess:
			return answers, true, nil
		case header.RCode == dnsmessage.RCodeNameError:
			return nil, false, nil
		default:
			errs = append(errs, fmt.Errorf("%s answers %s", server, rcodeName(header.RCode)))
		}
	}
	return nil, false, fmt.Errorf("look up %s: %w", name, errors.Join(errs...))
}

// rcodeName is what tools such as dig call a response code.
func rcodeName(code dnsmessage.RCode) string {
	switch code {
	case dnsmessage.RCodeFormatError:
		return "FORMERR"
	case dnsmessage.RCodeServerFailure:
		return "SERVFAIL"
	case dnsmessage.RCodeNotImplemented:
		return "NOTIMP"
	case dnsmessage.RCodeRefused:
		return "REFUSED"
	}
	return fmt.Sprintf("code %d", code)
}

// newQuestion checks that a name can be asked for.
func newQuestion(name string, kind dnsmessage.Type) (dnsmessage.Question, error) {
	full, err := dnsmessage.NewName(name)
	q := dnsmessage.Question{Name: full, Type: kind, Class: dnsmessage.ClassINET}
	if err == nil {
		_, err = pack(q, 0, false)
	}
	if err != nil {
		return q, fmt.Errorf("%q is not a valid DNS name", name)
	}
	return q, nil
}

// pack makes a request. extended tells the server that an answer may be longer than
// 512 bytes (RFC 6891).
func pack(q dnsmessage.Question, id uint16, extended bool) ([]byte, error) {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{q}}
	if extended {
		var h dnsmessage.ResourceHeader
		if err := h.SetEDNS0(maxDatagram, dnsmessage.RCodeSuccess, false); err != nil {
			return nil, err
		}
		m.Additionals = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.OPTResource{}}}
	}
	return m.Pack()
}

// ask asks one server: without the extension if it does not know that, and over TCP
// if its answer does not fit into a datagram.
func (r resolver) ask(ctx context.Context, server string, q dnsmessage.Question) (dnsmessage.Header, []dnsmessage.Resource, error) {
	h, answers, err := exchange(ctx, "udp", server, q, true)
	if err == nil && (h.RCode == dnsmessage.RCodeFormatError || h.RCode == dnsmessage.RCodeNotImplemented) {
		h, answers, err = exchange(ctx, "udp", server, q, false)
	}
	if err == nil && h.Truncated {
		h, answers, err = exchange(ctx, "tcp", server, q, false)
		if err == nil && h.Truncated {
			err = fmt.Errorf("the answer of %s over TCP is cut off", server)
		}
	}
	return h, answers, err
}

// exchange sends a request and reads the answer to it.
func exchange(ctx context.Context, network, server string, q dnsmessage.Question, extended bool) (h dnsmessage.Header, answers []dnsmessage.Resource, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server)
	if err != nil {
		return h, nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	id := uint16(rand.Uint32())
	request, err := pack(q, id, extended)
	if err != nil {
		return h, nil, err
	}
	if network == "tcp" {
		request = append(binary.BigEndian.AppendUint16(nil, uint16(len(request))), request...)
	}
	if _, err := conn.Write(request); err != nil {
		return h, nil, err
	}
	for {
		message, err := receive(conn, network)
		if err != nil {
			return h, nil, err
		}
		h, answers, err = parseAnswer(message, id, q)
		if errors.Is(err, errOtherAnswer) && network == "udp" {
			continue // from somebody else, or late
		}
		if err != nil {
			err = fmt.Errorf("the answer of %s: %w", server, err)
		}
		return h, answers, err
	}
}

// receive reads one message.
func receive(conn net.Conn, network string) ([]byte, error) {
	if network == "udp" {
		message := make([]byte, 64<<10)
		n, err := conn.Read(message)
		return message[:n], err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(conn, message)
	return message, err
}

// errOtherAnswer is the error for a message that does not answer the question.
var errOtherAnswer = errors.New("it answers another question")

// parseAnswer returns the records that answer a question. Those of kinds that no
// question has are omitted.
func parseAnswer(message []byte, id uint16, q dnsmessage.Question) (dnsmessage.Header, []dnsmessage.Resource, error) {
	var p dnsmessage.Parser
	h, err := p.Start(message)
	if err != nil || h.ID != id || !h.Response {
		return h, nil, errOtherAnswer
	}
	asked, err := p.AllQuestions()
	if err != nil {
		return h, nil, err
	}
	if len(asked) > 0 && (asked[0].Type != q.Type || !strings.EqualFold(asked[0].Name.String(), q.Name.String())) {
		return h, nil, errOtherAnswer
	}
	if h.Truncated {
		return h, nil, nil // another server or protocol is tried
	}
	var out []dnsmessage.Resource
	for {
		r, err := p.AnswerHeader()
		switch {
		case err == dnsmessage.ErrSectionDone:
			return h, out, nil
		case err != nil:
			return h, nil, err
		case r.Type != q.Type || r.Class != dnsmessage.ClassINET:
			if err := p.SkipAnswer(); err != nil {
				return h, nil, err
			}
			continue
		}
		record, err := p.Answer()
		if err != nil {
			return h, nil, err
		}
		out = append(out, record)
	}
}
