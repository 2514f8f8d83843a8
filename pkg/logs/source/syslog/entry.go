package syslog

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/logs/source/lines"
	"collector/pkg/pipeline"
)

const (
	internal       = "__syslog_"
	messagePrefix  = internal + "message_"
	addressLabel   = internal + "connection_ip_address"
	hostLabel      = internal + "connection_hostname"
	structuredData = messagePrefix + "sd_"
)

// parser makes entries of messages. It is for one goroutine.
type parser struct {
	listener *listener
	message  message
	builder  labels.Builder
	last     int64 // the time of the last entry that has the time of its arrival
}

// take adds the message of a frame from a client to b. Labels of the client come from its
// connection. Messages that give no entry are counted.
func (p *parser) take(b *batch, f frame, client labels.Labels, now time.Time) {
	l, m := p.listener, &p.message
	metrics := l.source.metrics
	text := string(f.text)
	if err := m.parse(text, &l.config); err != nil {
		if strings.TrimSpace(text) != "" {
			l.malformed(client.Get(addressLabel), err)
		}
		return
	}
	l.counts.received.Add(1)
	if m.text == "" {
		metrics.empty.Inc()
		l.counts.dropped.Add(1)
		return
	}
	lset, kept := p.labels(client)
	if !kept {
		metrics.drop(reasonRelabel, 1)
		l.counts.dropped.Add(1)
		return
	}
	b.add(lset, pipeline.Entry{Time: p.time(now), Line: p.line(f)})
	b.newest = now
}

// malformed counts a message that is not valid. The log does not quote it: it may be
// anything.
func (l *listener) malformed(client string, err error) {
	s := l.source
	s.metrics.malformed.Inc()
	l.counts.lost(1)
	l.counts.invalid.Add(1)
	l.counts.wrong(client, err)
	s.quiet.Warn(s.options.Logger, "malformed "+client, "message dropped: it is not valid", "address", l.Address(), "client", client, "format", l.config.SyslogFormat, "err", err)
}

// time is the entry's: the sender's, or that of its arrival, just above that of the
// entry before.
func (p *parser) time(now time.Time) time.Time {
	c, t := &p.listener.config, p.message.time
	switch {
	case !c.UseIncomingTimestamp || t.IsZero():
	case !p.message.yearless:
		return t
	case c.RFC3164DefaultToCurrentYear:
		return inYear(t, now)
	}
	p.last = lines.Time(p.last, now.UnixNano())
	return time.Unix(0, p.last)
}

// line is the entry's.
func (p *parser) line(f frame) string {
	m, metrics := &p.message, p.listener.source.metrics
	text := m.text
	if p.listener.config.UseRFC5424Message && m.version > 0 {
		text = m.String()
	}
	if f.size > len(f.text) {
		metrics.cut.Inc()
		out, _, _ := lines.Append(nil, []byte(text), int64(f.size), false, len(text))
		return string(out)
	}
	if !utf8.ValidString(text) {
		metrics.invalid.Inc()
		return strings.ToValidUTF8(text, string(utf8.RuneError))
	}
	return text
}

// labels are the entry's, by the rules; kept is false if a rule drops it.
func (p *parser) labels(client labels.Labels) (out labels.Labels, kept bool) {
	s, b := p.listener.source, &p.builder
	if s.config.RelabelRules.Len() == 0 {
		return p.listener.public, true
	}
	b.Reset(client)
	if p.listener.config.SyslogFormat != raw {
		p.setMessage(b)
	}
	in := b.Labels()
	out, known := s.cache.Get(in)
	if !known {
		out = s.relabel(b)
		s.cache.Put(in, out)
	}
	return out, !labels.Equal(out, dropped())
}

// setMessage sets the labels of the message.
func (p *parser) setMessage(b *labels.Builder) {
	m := &p.message
	set := func(name, value string) {
		if value != "" {
			b.Set(messagePrefix+name, value)
		}
	}
	set("severity", m.severity())
	set("facility", m.facility())
	set("hostname", m.host)
	set("app_name", m.app)
	set("proc_id", m.proc)
	set("msg_id", m.id)
	if p.listener.config.LabelStructuredData {
		for _, e := range m.data {
			id := structuredData + strings.ReplaceAll(e.id, "@", "_") + "_"
			for _, pair := range e.params {
				b.Set(id+pair.name, strings.ToValidUTF8(pair.value, string(utf8.RuneError)))
			}
		}
	}
}

// dropped is what rules make of labels that they drop. Without it they would look like an
// empty label set, which loki.write may add labels to.
func dropped() labels.Labels { return labels.FromStrings(internal+"dropped", "true") }

func (s *Source) relabel(b *labels.Builder) labels.Labels {
	if !s.config.RelabelRules.Apply(b) {
		return dropped()
	}
	return s.public(b.Labels())
}

// public is lset as it is sent: without internal labels, and with valid names.
func (s *Source) public(lset labels.Labels) labels.Labels {
	return s.names.Valid(pipeline.Public(lset))
}
