package syslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/inspect"
	"collector/pkg/listen"
	"collector/pkg/listen/listentest"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

const hello = "<165>1 2023-11-14T22:13:20.5Z host1 app1 77 ID1 [ex@1 k=\"v\"] hello"

func TestMessagesBecomeEntries(t *testing.T) {
	for _, protocol := range []string{tcp, udp} {
		var sink logstest.Sink
		c := config(&sink, func(l *ListenerConfig) {
			l.Protocol, l.UseIncomingTimestamp, l.LabelStructuredData = protocol, true, true
			l.Labels["__own"] = "o"
		})
		c.RelabelRules = rules(t, allLabels, func(r *discovery.Rule) { r.Action, r.Regex = "labeldrop", "connection_hostname" })
		s := start(t, c)
		s.send(t, hello+"\n")
		got := awaitLines(t, &sink, "hello")[0]
		want := `{app_name="app1", connection_ip_address="127.0.0.1", facility="local4", hostname="host1", job="syslog", msg_id="ID1", proc_id="77", sd_ex_1_k="v", severity="notice"}`
		if got.Labels != want || got.Time.UnixNano() != 1700000000500000000 {
			t.Errorf("%s: %+v, want %s", protocol, got, want)
		}
		await(t, "it is counted", func() bool { return s.metric(t, entriesMetric, "") == 1 })
		l := s.Status().(Status).Listeners[0]
		if l.Forwarded != 1 || l.Protocol != protocol || l.Address != s.address(0) || l.Newest.IsZero() {
			t.Errorf("%+v", l)
		}
		if tails := s.LogTails(); len(tails) != 1 || tails[0].Lines != 1 || tails[0].Container != protocol+" "+s.address(0) {
			t.Errorf("%+v", tails)
		}
		if inputs := s.Relabeling().Inputs(); len(inputs) != 1 || inputs[0].Get("__syslog_message_app_name") != "app1" {
			t.Errorf("%v", inputs)
		}
	}
}

// A listener accounts for every message, and says what was wrong with the last one.
func TestAListenerAccountsForEveryMessage(t *testing.T) {
	for _, protocol := range []string{tcp, udp} {
		var sink logstest.Sink
		c := config(&sink, func(l *ListenerConfig) { l.Protocol = protocol })
		c.RelabelRules = rules(t, allLabels, func(r *discovery.Rule) {
			r.Action, r.SourceLabels, r.Regex = "drop", []string{"__syslog_message_app_name"}, "noise"
		})
		s := start(t, c)
		conn := s.dial(t)
		for _, message := range []string{hello, "<13>1 - h noise - - - x", "<13>1 - h a - - -", "<13>bad", hello} {
			if _, err := io.WriteString(conn, message+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		tail := func() inspect.LogTail { return s.LogTails()[0] }
		await(t, "all messages are counted", func() bool { now := tail(); return now.Received == 5 && now.Lines == 2 && now.Dropped == 3 })
		now := tail()
		if now.Invalid != 1 || now.Kind != inspect.TailListener || now.About != rfc5424 || !strings.HasPrefix(now.Problem, "127.0.0.1: ") || now.ProblemAt.IsZero() || now.Error != "" {
			t.Errorf("%s: %+v", protocol, now)
		}
		if protocol == tcp && now.Connections != 1 {
			t.Errorf("%d connections", now.Connections)
		}
	}
}

func TestWithoutTheIncomingTimeEntriesHaveTheirArrivalTimeInOrder(t *testing.T) {
	var sink logstest.Sink
	before := time.Now()
	s := start(t, config(&sink, func(*ListenerConfig) {}))
	s.send(t, hello+"\n"+hello+"\n"+hello+"\n")
	got := awaitLines(t, &sink, "hello", "hello", "hello")
	for i, e := range got {
		if e.Time.Before(before) || e.Time.After(time.Now().Add(time.Millisecond)) || i > 0 && !e.Time.After(got[i-1].Time) {
			t.Errorf("entry %d of %v has the time %v", i, got, e.Time)
		}
		if e.Labels != `{job="syslog"}` {
			t.Errorf("labels %s", e.Labels)
		}
	}
}

func TestTimesOfRFC3164(t *testing.T) {
	for _, test := range []struct {
		current bool
		year    func() int
	}{{true, func() int { return time.Now().Year() }}, {false, nil}} {
		var sink logstest.Sink
		s := start(t, config(&sink, func(l *ListenerConfig) {
			l.SyslogFormat, l.UseIncomingTimestamp, l.RFC3164DefaultToCurrentYear = rfc3164, true, test.current
		}))
		begun := time.Now()
		s.send(t, "<34>Jun 11 22:14:15 h su: x\n")
		got := awaitLines(t, &sink, "x")[0].Time
		switch {
		case test.current && got.UTC().Format("01-02 15:04:05") != "06-11 22:14:15", test.current && got.UTC().Year() != begun.Year():
			t.Errorf("%v is not in this year", got)
		case !test.current && got.Before(begun):
			t.Errorf("%v is not the time of arrival", got)
		}
	}
}

func TestTheWholeMessageIsTheLineIfConfigured(t *testing.T) {
	var sink logstest.Sink
	start(t, config(&sink, func(l *ListenerConfig) { l.UseRFC5424Message = true })).send(t, hello+"\n")
	awaitLines(t, &sink, hello)
}

func TestRawMessagesAreTheirLines(t *testing.T) {
	for _, protocol := range []string{tcp, udp} {
		var sink logstest.Sink
		c := config(&sink, func(l *ListenerConfig) {
			l.Protocol, l.SyslogFormat, l.RawFormatOptions = protocol, raw, &RawOptions{UseNullTerminatorDelimiter: true}
		})
		c.RelabelRules = rules(t, allLabels, func(r *discovery.Rule) { r.Action, r.Regex = "labeldrop", "connection_hostname" })
		start(t, c).send(t, "CEF:0|a\nb\x00<13>1\x00")
		for _, e := range awaitLines(t, &sink, "CEF:0|a\nb", "<13>1") {
			if e.Labels != `{connection_ip_address="127.0.0.1", job="syslog"}` {
				t.Errorf("%s: labels %s", protocol, e.Labels)
			}
		}
	}
}

func TestBothFramingsAndLinesThatContinue(t *testing.T) {
	var sink logstest.Sink
	s := start(t, config(&sink, func(*ListenerConfig) {}))
	s.send(t, fmt.Sprintf("%d %s", len(hello), hello))
	awaitLines(t, &sink, "hello")
	s.send(t, hello+"\n\tat x\n"+hello)
	awaitLines(t, &sink, "hello", "hello\n\tat x", "hello")
	open := s.dial(t)
	if _, err := io.WriteString(open, hello+" of a connection that stays open\n"); err != nil {
		t.Fatal(err)
	}
	awaitLines(t, &sink, "hello", "hello\n\tat x", "hello", "hello of a connection that stays open")
}

func TestInvalidMessagesAreCountedAndTheRestIsAccepted(t *testing.T) {
	var sink logstest.Sink
	s := start(t, config(&sink, func(*ListenerConfig) {}))
	s.send(t, "<13>1 - - - - - - good\n<999>1 broken\n<13>1 - - - - - - \n<13>1 - - - - - - better\n")
	awaitLines(t, &sink, "good", "better")
	await(t, "it is counted", func() bool {
		return s.metric(t, malformedMetric, "") == 1 && s.metric(t, "loki_source_syslog_empty_messages_total", "") == 1
	})
	s.send(t, "GET / HTTP/1.1\r\n\r\n")
	await(t, "the connection is counted", func() bool { return s.metric(t, failedMetric, reasonFraming) == 1 })
}

func TestWhatClientsSendIsNotLogged(t *testing.T) {
	for _, protocol := range []string{tcp, udp} {
		var log lockedBuffer
		c := config(&logstest.Sink{}, func(l *ListenerConfig) { l.Protocol = protocol })
		s := &started{registry: prometheus.NewRegistry()}
		var err error
		s.Source, err = New(c, component.Options{Metrics: s.registry, Listeners: listen.NewPool().View(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Bind(); err != nil {
			t.Fatal(err)
		}
		s.run(t)
		for _, text := range []string{"GET /?password=hunter2 HTTP/1.1\r\n", "<13>hunter2\n", "12hunter2", "99 hunter2"} {
			before := s.metric(t, malformedMetric, "") + s.metric(t, failedMetric, "")
			s.send(t, text)
			await(t, "it is counted", func() bool { return s.metric(t, malformedMetric, "")+s.metric(t, failedMetric, "") > before })
		}
		if text := log.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "client=127.0.0.1") {
			t.Errorf("%s: the log says %s", protocol, text)
		}
	}
}

// lockedBuffer is a buffer for a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestInvalidBytesAreReplaced(t *testing.T) {
	var sink logstest.Sink
	s := start(t, config(&sink, func(*ListenerConfig) {}))
	s.send(t, "<13>1 - - - - - - a\xffb\n")
	awaitLines(t, &sink, "a\ufffdb")
	if s.metric(t, "collector_log_lines_invalid_utf8_total", "") != 1 {
		t.Error("it is not counted")
	}
}

func TestMessagesThatAreTooLong(t *testing.T) {
	var sink logstest.Sink
	s := start(t, config(&sink, func(l *ListenerConfig) { l.MaxMessageLength = 40 }))
	long := "<13>1 - - - - - - " + strings.Repeat("x", 100)
	s.send(t, fmt.Sprintf("%d %s22 <13>1 - - - - - - next", len(long), long))
	awaitLines(t, &sink, "next")
	if s.metric(t, droppedMetric, reasonTooLong) != 1 {
		t.Error("it is not counted")
	}

	var packets logstest.Sink
	u := start(t, config(&packets, func(l *ListenerConfig) { l.Protocol, l.MaxMessageLength = udp, 80 }))
	u.send(t, long)
	cut := strings.Repeat("x", 80-len("<13>1 - - - - - - ")-len("… [cut by collector: 118 bytes]")) + "… [cut by collector: 118 bytes]"
	awaitLines(t, &packets, cut)
	if u.metric(t, "collector_log_lines_cut_total", "") != 1 {
		t.Error("it is not counted")
	}
}

func TestASilentConnectionIsClosed(t *testing.T) {
	var sink logstest.Sink
	s := start(t, config(&sink, func(l *ListenerConfig) { l.IdleTimeout = 20 * time.Millisecond }))
	c := s.dial(t)
	if _, err := io.WriteString(c, "<13>1 - - - - - - the last"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection ends with %v", err)
	}
	awaitLines(t, &sink, "the last")
	if n := s.metric(t, failedMetric, ""); n != 0 {
		t.Errorf("%v connections count as failed", n)
	}
}

// While a receiver takes nothing, a sender cannot send on; when it takes it again,
// nothing is missing.
func TestTCPSendersWaitForReceivers(t *testing.T) {
	const lines = 200_000
	block := make(chan struct{})
	sink := logstest.Sink{Block: block}
	s := start(t, config(&sink, func(*ListenerConfig) {}))
	c := s.dial(t)
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, numbered(0, lines))
		sent <- errors.Join(err, c.Close())
	}()
	await(t, "a batch waits", func() bool { return s.waiting.Load() == 1 })
	select {
	case err := <-sent:
		t.Fatalf("all was sent while nothing was taken: %v", err)
	default:
	}
	sink.Set(func() { sink.Block = nil })
	close(block)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	await(t, "all lines are there", func() bool { return s.metric(t, entriesMetric, "") >= lines })
	if got := sink.Lines(); !slices.Equal(got, logstest.Numbered(0, lines)) {
		t.Errorf("%d lines, not all in their order", len(got))
	}
}

// A busy sender of datagrams: each one is forwarded or counted as dropped.
func TestUDPDropsAndCountsWhatReceiversDoNotAccept(t *testing.T) {
	const datagrams = 5000
	block := make(chan struct{})
	sink := logstest.Sink{Block: block}
	s := makeSource(t, config(&sink, func(l *ListenerConfig) { l.Protocol = udp }), nil)
	s.queue.max = 100 << 10
	s.run(t)
	c := s.dial(t)
	send := func(line string) {
		if _, err := io.WriteString(c, "<13>1 - h a - - - "+line); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range logstest.Numbered(0, datagrams) {
		send(line)
	}
	await(t, "datagrams are dropped", func() bool { return s.metric(t, datagramsMetric, reasonFull) > 0 })
	sink.Set(func() { sink.Block = nil })
	close(block)
	extra, looks := 0, 0
	await(t, "each is accounted for", func() bool {
		if looks++; looks%50 == 0 { // the kernel says what it dropped with the next datagram
			send("extra")
			extra++
		}
		return int(s.metric(t, entriesMetric, "")+s.metric(t, datagramsMetric, "")) == datagrams+extra
	})
	if n := len(sink.Lines()); n != int(s.metric(t, entriesMetric, "")) || n >= datagrams+extra {
		t.Errorf("%d of %d came, and %v are counted", n, datagrams+extra, s.metric(t, entriesMetric, ""))
	}
}

func TestARuleDropsMessages(t *testing.T) {
	var sink logstest.Sink
	c := config(&sink, func(*ListenerConfig) {})
	c.RelabelRules = rules(t, func(r *discovery.Rule) {
		r.Action, r.SourceLabels, r.Regex = "drop", []string{"__syslog_message_severity"}, "debug"
	})
	s := start(t, c)
	s.send(t, "<15>1 - - - - - - no\n<15>1 - - - - - - no\n<14>1 - - - - - - yes\n")
	awaitLines(t, &sink, "yes")
	if n := s.metric(t, droppedMetric, reasonRelabel); n != 2 {
		t.Errorf("%v are counted", n)
	}
}

func TestWhatAReceiverRejectsIsCounted(t *testing.T) {
	sink := logstest.Sink{Fail: func(int) error { return pipeline.Permanent(errors.New("no")) }}
	s := start(t, config(&sink, func(*ListenerConfig) {}))
	s.send(t, hello)
	await(t, "it is counted", func() bool { return s.metric(t, droppedMetric, reasonRejected) == 1 })
	if n := s.metric(t, entriesMetric, ""); n != 0 {
		t.Errorf("%v count as forwarded", n)
	}
}

func TestWhatHasBeenReadIsForwardedWhenTheComponentStops(t *testing.T) {
	for _, protocol := range []string{tcp, udp} {
		sink := logstest.Sink{Fail: func(call int) error {
			if call < 3 {
				return pipeline.ErrFull
			}
			return nil
		}}
		s := start(t, config(&sink, func(l *ListenerConfig) { l.Protocol = protocol }))
		c := s.dial(t)
		if _, err := io.WriteString(c, hello+"\n"); err != nil {
			t.Fatal(err)
		}
		await(t, "it waits", func() bool { return sink.Calls() > 0 })
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		awaitLines(t, &sink, "hello")
	}
}

func TestWhatNoReceiverAcceptsAtShutdownIsCounted(t *testing.T) {
	sink := logstest.Sink{Fail: func(int) error { return pipeline.ErrFull }}
	s := start(t, config(&sink, func(*ListenerConfig) {}))
	s.send(t, hello)
	await(t, "it waits", func() bool { return sink.Calls() > 0 })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if n := s.metric(t, droppedMetric, reasonStopped); n != 1 {
		t.Errorf("%v are counted", n)
	}
}

// A component that replaces another one, as at a reload, gets its addresses at once. A
// TCP sender that sees the end of its connection, and connects again, loses nothing;
// datagrams wait in the kernel.
func TestNothingIsLostAtAReload(t *testing.T) {
	for _, protocol := range []string{tcp, udp} {
		var sink logstest.Sink
		pool := listen.NewPool()
		address := listentest.FreeAddress(t)
		c := config(&sink, func(l *ListenerConfig) { l.Protocol, l.Address = protocol, address })
		before := makeSource(t, c, pool).run(t)
		stream := &looking{network: protocol, address: address}
		defer stream.close()
		for i := range 30 {
			stream.send(t, numbered(i, i+1))
			if i%10 == 2 { // else the next component might accept what was sent to this one
				await(t, "the connection is accepted", func() bool { return len(sink.Lines()) > i })
			}
			if i%10 == 5 {
				after := makeSource(t, c, pool)
				if err := before.stop(); err != nil {
					t.Fatal(err)
				}
				if protocol == tcp {
					<-stream.ended
				}
				stream.send(t, numbered(1000+i, 1001+i))
				before = after.run(t)
			}
		}
		await(t, "all lines are there", func() bool { return len(sink.Lines()) >= 33 })
		logstest.WantEach(t, append(logstest.Numbered(0, 30), "line 1005", "line 1015", "line 1025"), sink.Lines())
	}
}

// looking is a sender that looks whether its connection has ended before it writes.
type looking struct {
	network, address string
	conn             net.Conn
	ended            chan struct{}
}

func (l *looking) send(t *testing.T, text string) {
	t.Helper()
	if l.conn != nil && l.network == tcp {
		select {
		case <-l.ended:
			l.close()
		default:
		}
	}
	if l.conn == nil {
		var err error
		if l.conn, err = net.Dial(l.network, l.address); err != nil {
			t.Fatal(err)
		}
		conn, ended := l.conn, make(chan struct{})
		l.ended = ended
		if l.network == tcp {
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				close(ended)
			}()
		}
	}
	if _, err := io.WriteString(l.conn, text); err != nil {
		t.Fatal(err)
	}
}

func (l *looking) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

func TestAClientsNameIsLookedUpIfARuleWantsIt(t *testing.T) {
	name := func(r *discovery.Rule) { r.SourceLabels, r.TargetLabel = []string{hostLabel}, "from" }
	other := func(r *discovery.Rule) { r.SourceLabels, r.TargetLabel = []string{addressLabel}, "from" }
	for want, rules := range map[string]*discovery.Rules{"": nil, "a,b": rules(t, name)} {
		h := newHosts(rules)
		calls := 0
		h.lookup = func(_ context.Context, address string) ([]string, error) { calls++; return []string{"a", "b"}, nil }
		for range 3 {
			if got := h.name(t.Context(), netip.MustParseAddr("127.0.0.1")); got != want {
				t.Errorf("the name is %q, want %q", got, want)
			}
		}
		if calls > 1 || (calls == 1) != (want != "") {
			t.Errorf("%d lookups", calls)
		}
	}
	if reads(rules(t, other), hostLabel) || !reads(rules(t, other, allLabels), hostLabel) || !reads(rules(t, name), hostLabel) {
		t.Error("it is not known which rules want the name")
	}
}

func TestSettingsThatCannotWorkAreRejected(t *testing.T) {
	for want, change := range map[string]func(*ListenerConfig){
		"address":            func(l *ListenerConfig) { l.Address = "nowhere" },
		"protocol":           func(l *ListenerConfig) { l.Protocol = "unix" },
		"syslog_format":      func(l *ListenerConfig) { l.SyslogFormat = "cef" },
		"idle_timeout":       func(l *ListenerConfig) { l.IdleTimeout = -1 },
		"max_message_length": func(l *ListenerConfig) { l.MaxMessageLength = -1 },
	} {
		c := config(nil, change)
		if err := c.Listeners[0].Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	c := configOf(nil, func(l *ListenerConfig) { l.Address = "127.0.0.1:1514" }, func(l *ListenerConfig) { l.Address = "127.0.0.1:1514" })
	if err := c.Validate(); err == nil {
		t.Error("two listeners may have one address")
	}
	c.Listeners[1].Protocol = udp
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestSettingsWithoutEffectAreNamed(t *testing.T) {
	var warned []string
	c := configOf(nil, func(l *ListenerConfig) { l.UseRFC5424Message, l.SyslogFormat = true, rfc3164 }, func(l *ListenerConfig) {
		l.UseIncomingTimestamp, l.SyslogFormat = true, raw
	}, func(l *ListenerConfig) { l.RawFormatOptions = &RawOptions{} })
	if _, err := New(c, component.Options{Warn: func(path, _ string) { warned = append(warned, path) }}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"listener[0]/use_rfc5424_message", "listener[1]/use_incoming_timestamp", "listener[2]/raw_format_options"}, warned); diff != "" {
		t.Error(diff)
	}
}
