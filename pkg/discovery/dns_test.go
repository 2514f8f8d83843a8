package discovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/net/dns/dnsmessage"

	"collector/pkg/component"
	"collector/pkg/inspect"
)

// nameserver is a DNS server on UDP and TCP of one port, which is asked through a
// resolv.conf.
type nameserver struct {
	t    *testing.T
	port string
	conf string

	mu      sync.Mutex
	records map[string][]dnsmessage.ResourceBody // guarded by mu, by "name type"
	rcode   dnsmessage.RCode                     // guarded by mu: of all answers, if not 0
	silent  bool                                 // guarded by mu
	plain   bool                                 // guarded by mu: knows no extension
	cut     bool                                 // guarded by mu: datagrams are too small
	asked   []string                             // guarded by mu: names, in order
}

func newNameserver(t *testing.T) *nameserver {
	t.Helper()
	n := &nameserver{t: t, records: map[string][]dnsmessage.ResourceBody{}, conf: filepath.Join(t.TempDir(), "resolv.conf")}
	tcp, udp := listenBoth(t)
	_, n.port, _ = net.SplitHostPort(tcp.Addr().String())
	n.resolv("nameserver 127.0.0.1\n")
	var serving sync.WaitGroup
	serving.Go(func() { n.datagrams(udp) })
	serving.Go(func() { n.connections(tcp) })
	t.Cleanup(func() { udp.Close(); tcp.Close(); serving.Wait() })
	return n
}

// listenBoth listens on TCP and UDP of one port.
func listenBoth(t *testing.T) (net.Listener, net.PacketConn) {
	for range 20 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp
		}
		tcp.Close()
	}
	t.Fatal("no port is free for TCP and UDP")
	return nil, nil
}

func (n *nameserver) resolv(text string) {
	n.t.Helper()
	if err := os.WriteFile(n.conf, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// has gives a name its records of the type of the first one.
func (n *nameserver) has(name, kind string, records ...dnsmessage.ResourceBody) {
	n.set(func() { n.records[name+" "+kind] = records })
}

func (n *nameserver) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

func (n *nameserver) datagrams(udp net.PacketConn) {
	buf := make([]byte, 2048)
	for {
		size, from, err := udp.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := n.answer(buf[:size], true); answer != nil {
			_, _ = udp.WriteTo([]byte("not DNS"), from) // which the client must skip
			_, _ = udp.WriteTo(answer, from)
		}
	}
}

func (n *nameserver) connections(tcp net.Listener) {
	for {
		conn, err := tcp.Accept()
		if err != nil {
			return
		}
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err == nil {
			request := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(conn, request); err == nil {
				answer := n.answer(request, false)
				_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			}
		}
		conn.Close()
	}
}

func (n *nameserver) answer(request []byte, datagram bool) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(request); err != nil {
		n.t.Errorf("a request cannot be read: %v", err)
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	q := m.Questions[0]
	n.asked = append(n.asked, q.Name.String())
	if n.silent {
		return nil
	}
	m.Response, m.RCode = true, n.rcode
	if n.plain && len(m.Additionals) > 0 {
		m.RCode = dnsmessage.RCodeFormatError
	}
	m.Additionals = nil
	if m.RCode == 0 {
		n.fill(&m, q)
	}
	if m.Truncated = n.cut && datagram; m.Truncated {
		m.Answers = m.Answers[:1]
	}
	out, err := m.Pack()
	if err != nil {
		n.t.Errorf("an answer cannot be made: %v", err)
	}
	return out
}

func (n *nameserver) fill(m *dnsmessage.Message, q dnsmessage.Question) {
	records, ok := n.records[q.Name.String()+" "+strings.TrimPrefix(q.Type.String(), "Type")]
	if !ok {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, body := range records {
		kind := q.Type
		if _, alias := body.(*dnsmessage.CNAMEResource); alias {
			kind = dnsmessage.TypeCNAME
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: kind, Class: q.Class, TTL: 1}, Body: body})
	}
}

func (n *nameserver) names() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

func (n *nameserver) discovery(kind string, port int, o component.Options, names ...string) *DNS {
	n.t.Helper()
	var c DNSConfig
	c.SetToDefault()
	c.Names, c.Type, c.Port = names, kind, port
	d, err := NewDNS(c, o)
	if err != nil {
		n.t.Fatal(err)
	}
	d.resolver = resolver{file: n.conf, port: n.port}
	return d
}

func a(last byte) dnsmessage.ResourceBody { return &dnsmessage.AResource{A: [4]byte{10, 0, 0, last}} }

func named(s string) dnsmessage.Name { return dnsmessage.MustNewName(s) }

func TestEachKindOfRecordIsATarget(t *testing.T) {
	n := newNameserver(t)
	n.has("x.test.", "A", &dnsmessage.CNAMEResource{CNAME: named("y.test.")}, a(2), a(1))
	n.has("x.test.", "AAAA", &dnsmessage.AAAAResource{AAAA: [16]byte{0xfd, 15: 1}})
	n.has("x.test.", "MX", &dnsmessage.MXResource{Pref: 1, MX: named("mail.test.")}, &dnsmessage.MXResource{MX: named(".")})
	n.has("x.test.", "NS", &dnsmessage.NSResource{NS: named("ns.test.")})
	n.has("x.test.", "SRV", &dnsmessage.SRVResource{Port: 8080, Target: named("web-1.test.")}, &dnsmessage.SRVResource{Port: 81, Target: named("web-2.test.")})
	f := func(kind string, port int, want ...string) {
		t.Helper()
		d := n.discovery(kind, port, component.Options{}, "x.test")
		d.poll.refresh(t.Context())
		targets, _ := d.poll.out.Targets()
		if diff := cmp.Diff(want, texts(targets)); diff != "" || d.Health() != nil {
			t.Errorf("%s: health %v %s", kind, d.Health(), diff)
		}
	}
	f("A", 9100, `{__address__="10.0.0.1:9100", __meta_dns_name="x.test"}`, `{__address__="10.0.0.2:9100", __meta_dns_name="x.test"}`)
	f("aaaa", 9100, `{__address__="[fd00::1]:9100", __meta_dns_name="x.test"}`)
	f("MX", 25, `{__address__="mail.test:25", __meta_dns_mx_record_target="mail.test.", __meta_dns_name="x.test"}`)
	f("NS", 53, `{__address__="ns.test:53", __meta_dns_name="x.test", __meta_dns_ns_record_target="ns.test."}`)
	f("SRV", 1, `{__address__="web-1.test:8080", __meta_dns_name="x.test", __meta_dns_srv_record_port="8080", __meta_dns_srv_record_target="web-1.test."}`,
		`{__address__="web-2.test:81", __meta_dns_name="x.test", __meta_dns_srv_record_port="81", __meta_dns_srv_record_target="web-2.test."}`)
}

func TestNamesAreLookedUpInTheSearchDomains(t *testing.T) {
	n := newNameserver(t)
	n.resolv("domain z.test\nsearch a.test b.test. .\noptions rotate ndots:2\nnameserver 127.0.0.1\n")
	n.has("web.x.b.test.", "A", a(1))
	d := n.discovery("A", 1, component.Options{}, "web.x")
	d.poll.refresh(t.Context())
	awaitTargets(t, d.poll.out, "10.0.0.1:1")
	if diff := cmp.Diff([]string{"web.x.a.test.", "web.x.b.test."}, n.names()); diff != "" {
		t.Error(diff)
	}
	f := func(conf, name string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, parseResolvConf(conf).names(name)); diff != "" {
			t.Error(diff)
		}
	}
	f("search a b", "x", "x.a.", "x.b.", "x.")
	f("search a b", "x.y", "x.y.", "x.y.a.", "x.y.b.")
	f("search a b", "x.", "x.")
	f("search a\noptions ndots:0", "x", "x.", "x.a.")
	f("options ndots:x", "x.y", "x.y.")
	if diff := cmp.Diff([]string{"127.0.0.1", "::1"}, parseResolvConf("# nameserver 1.1.1.1").servers); diff != "" {
		t.Error(diff)
	}
}

func TestAnswersThatDoNotFitAreAskedForOverTCP(t *testing.T) {
	n := newNameserver(t)
	var records []dnsmessage.ResourceBody
	for i := range 200 {
		records = append(records, a(byte(i)))
	}
	n.has("many.test.", "A", records...)
	n.set(func() { n.cut = true })
	d := n.discovery("A", 1, component.Options{}, "many.test")
	d.poll.refresh(t.Context())
	if targets, _ := d.poll.out.Targets(); len(targets) != 200 {
		t.Errorf("%d targets, want 200: %v", len(targets), d.Health())
	}
}

func TestServersWithoutExtensionsAreAsked(t *testing.T) {
	n := newNameserver(t)
	n.has("x.test.", "A", a(1))
	n.set(func() { n.plain = true })
	d := n.discovery("A", 1, component.Options{}, "x.test")
	d.poll.refresh(t.Context())
	awaitTargets(t, d.poll.out, "10.0.0.1:1")
}

func TestTheNextServerIsAskedWhenOneFails(t *testing.T) {
	n := newNameserver(t)
	n.resolv("nameserver 127.0.0.99\nnameserver 127.0.0.1\n") // nobody listens at the first
	n.has("x.test.", "A", a(1))
	d := n.discovery("A", 1, component.Options{}, "x.test")
	d.poll.refresh(t.Context())
	awaitTargets(t, d.poll.out, "10.0.0.1:1")
}

func TestANameThatCannotBeLookedUpKeepsItsTargets(t *testing.T) {
	n := newNameserver(t)
	registry := prometheus.NewRegistry()
	o := component.Options{Metrics: registry, Dir: t.TempDir()}
	long := strings.Repeat("a", 64) + ".test"
	n.has("x.test.", "A", a(1))
	n.has("y.test.", "A", a(2))
	d := n.discovery("A", 1, o, "x.test", "y.test")
	d.poll.refresh(t.Context())
	awaitTargets(t, d.poll.out, "10.0.0.1:1", "10.0.0.2:1")

	d.config.Names[1] = long // which no server has to be asked for
	d.poll.refresh(t.Context())
	awaitTargets(t, d.poll.out, "10.0.0.1:1")
	var partial inspect.Partial
	if err := d.Health(); !errors.As(err, &partial) || !strings.Contains(err.Error(), "1 of 2 names") || !strings.Contains(err.Error(), "not a valid DNS name") {
		t.Errorf("health %v", err)
	}
	d.config.Names[1] = "y.test"
	d.poll.refresh(t.Context())
	awaitTargets(t, d.poll.out, "10.0.0.1:1", "10.0.0.2:1")

	n.set(func() { n.rcode = dnsmessage.RCodeServerFailure })
	d.poll.refresh(t.Context())
	awaitTargets(t, d.poll.out, "10.0.0.1:1", "10.0.0.2:1")
	err := d.Health()
	if err == nil || errors.As(err, &partial) || !strings.Contains(err.Error(), "2 of 2 names") || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("health %v", err)
	}
	s := d.Status().(DNSStatus)
	if s.Targets != 2 || s.Type != "A" || len(s.Names) != 2 || s.Names[0].Name != "x.test" || s.Names[0].Targets != 1 || !strings.Contains(s.Names[0].Error, "SERVFAIL") {
		t.Errorf("status %+v", s)
	}
	expected := `
# HELP prometheus_sd_dns_lookup_failures_total Failed lookups of names.
# TYPE prometheus_sd_dns_lookup_failures_total counter
prometheus_sd_dns_lookup_failures_total 3
# HELP prometheus_sd_dns_lookups_total Lookups of names.
# TYPE prometheus_sd_dns_lookups_total counter
prometheus_sd_dns_lookups_total 8
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(expected), "prometheus_sd_dns_lookups_total", "prometheus_sd_dns_lookup_failures_total"); err != nil {
		t.Error(err)
	}

	// After a restart the servers still fail.
	o.Metrics = nil
	again := n.discovery("A", 1, o, "x.test", "y.test")
	again.poll.refresh(t.Context())
	awaitTargets(t, again.poll.out, "10.0.0.1:1", "10.0.0.2:1")

	n.set(func() { n.rcode = 0; delete(n.records, "x.test. A") })
	d.poll.refresh(t.Context()) // no such name is no failure
	awaitTargets(t, d.poll.out, "10.0.0.2:1")
	if err := d.Health(); err != nil {
		t.Error(err)
	}
}

func TestServersThatAreSilentAreGivenUp(t *testing.T) {
	n := newNameserver(t)
	n.set(func() { n.silent = true })
	d := n.discovery("A", 1, component.Options{}, "x.test")
	d.poll.refresh(t.Context())
	if err := d.Health(); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("health %v", err)
	}
	if err := os.Remove(n.conf); err != nil {
		t.Fatal(err)
	}
	d.poll.refresh(t.Context())
	if err := d.Health(); err == nil || !strings.Contains(err.Error(), n.conf) {
		t.Errorf("health %v", err)
	}
}

func TestNamesAreLookedUpEachRefreshInterval(t *testing.T) {
	n := newNameserver(t)
	n.has("x.test.", "A", a(1))
	d, err := NewDNS(DNSConfig{Names: []string{"x.test"}, Type: "A", Port: 1, RefreshInterval: 3 * time.Millisecond}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.resolver = resolver{file: n.conf, port: n.port}
	run(t, d)
	deadline := time.After(time.Minute)
	for len(n.names()) < 3 {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("asked for %v", n.names())
		}
	}
}

func TestRecordsThatCannotBeLookedUpAreRejected(t *testing.T) {
	f := func(kind string, port int, interval time.Duration, want string) {
		t.Helper()
		c := DNSConfig{Names: []string{"x"}, Type: kind, Port: port, RefreshInterval: interval}
		if err := c.Validate(); fmt.Sprint(err) != "<nil>" && want == "" || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s %d: error %v, want %q", kind, port, err, want)
		}
	}
	f("srv", 0, time.Second, "")
	f("mx", 25, time.Second, "")
	f("A", 0, time.Second, "required")
	f("A", 70000, time.Second, "not a port")
	f("TXT", 1, time.Second, "record type")
	f("SRV", 0, 0, "not positive")
}

// FuzzDNSAnswer checks that what comes from a server becomes targets only as the
// answer to the question, each with an address and the name that was asked for.
func FuzzDNSAnswer(f *testing.F) {
	q, err := newQuestion("x.test.", dnsmessage.TypeSRV)
	if err != nil {
		f.Fatal(err)
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, Response: true}, Questions: []dnsmessage.Question{q}}
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
	for _, body := range []dnsmessage.ResourceBody{&dnsmessage.SRVResource{Port: 1, Target: named("h.")}, &dnsmessage.SRVResource{Target: named(".")}} {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: body})
	}
	packed, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add(packed[:20])
	f.Fuzz(func(t *testing.T, message []byte) {
		h, records, err := parseAnswer(message, 7, q)
		if err != nil && len(records) > 0 || err == nil && (h.ID != 7 || !h.Response) {
			t.Fatalf("%d records, header %v, error %v", len(records), h, err)
		}
		targets := recordTargets("x", records, 1)
		if len(targets) > len(records) {
			t.Fatalf("%d targets of %d records", len(targets), len(records))
		}
		for _, target := range targets {
			if _, _, err := net.SplitHostPort(target.Get("__address__")); err != nil && !strings.ContainsAny(target.Get("__address__"), "[]:") || target.Get(dnsNameLabel) != "x" {
				t.Fatalf("target %s", target)
			}
		}
	})
}
