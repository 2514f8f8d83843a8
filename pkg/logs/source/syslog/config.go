package syslog

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
	"collector/pkg/tlsconfig"
)

// Config is the configuration of loki.source.syslog.
type Config struct {
	Listeners    []ListenerConfig    `alloy:"listener,block"`
	ForwardTo    []pipeline.LogsSink `alloy:"forward_to,attr"`
	RelabelRules *discovery.Rules    `alloy:"relabel_rules,attr,optional"`
}

// ListenerConfig is the block listener.
type ListenerConfig struct {
	Address                     string            `alloy:"address,attr"`
	Protocol                    string            `alloy:"protocol,attr,optional"`
	IdleTimeout                 time.Duration     `alloy:"idle_timeout,attr,optional"`
	LabelStructuredData         bool              `alloy:"label_structured_data,attr,optional"`
	Labels                      map[string]string `alloy:"labels,attr,optional"`
	UseIncomingTimestamp        bool              `alloy:"use_incoming_timestamp,attr,optional"`
	UseRFC5424Message           bool              `alloy:"use_rfc5424_message,attr,optional"`
	RFC3164DefaultToCurrentYear bool              `alloy:"rfc3164_default_to_current_year,attr,optional"`
	MaxMessageLength            int               `alloy:"max_message_length,attr,optional"`
	TLS                         *httpclient.TLS   `alloy:"tls_config,block,optional"`
	SyslogFormat                string            `alloy:"syslog_format,attr,optional"`
	RawFormatOptions            *RawOptions       `alloy:"raw_format_options,block,optional"`
	RFC3164CiscoComponents      *CiscoComponents  `alloy:"rfc3164_cisco_components,block,optional"`
}

// RawOptions is the block raw_format_options.
type RawOptions struct {
	UseNullTerminatorDelimiter bool `alloy:"use_null_terminator_delimiter,attr,optional"`
}

const (
	tcp, udp         = "tcp", "udp"
	rfc5424, rfc3164 = "rfc5424", "rfc3164"
	raw              = "raw"

	defaultIdle    = 120 * time.Second
	defaultMessage = 8192
	// maxMessage bounds max_message_length.
	maxMessage = 16 << 20
)

// SetToDefault sets Alloy's defaults.
func (c *ListenerConfig) SetToDefault() {
	*c = ListenerConfig{Protocol: tcp, IdleTimeout: defaultIdle, MaxMessageLength: defaultMessage, SyslogFormat: rfc5424}
}

// Validate reports settings that cannot work.
func (c *ListenerConfig) Validate() error {
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return component.At("address", fmt.Errorf("%q is not host:port; for example: \"0.0.0.0:514\"", c.Address))
	}
	switch {
	case c.Protocol != tcp && c.Protocol != udp:
		return component.At("protocol", fmt.Errorf("%q must be \"tcp\" or \"udp\"", c.Protocol))
	case c.SyslogFormat != rfc5424 && c.SyslogFormat != rfc3164 && c.SyslogFormat != raw:
		return component.At("syslog_format", fmt.Errorf("%q must be \"rfc5424\", \"rfc3164\" or \"raw\"", c.SyslogFormat))
	case c.IdleTimeout < 0:
		return component.At("idle_timeout", fmt.Errorf("%s must not be negative", c.IdleTimeout))
	case c.MaxMessageLength < 0 || c.MaxMessageLength > maxMessage:
		return component.At("max_message_length", fmt.Errorf("%d must be from 1 to %d", c.MaxMessageLength, maxMessage))
	}
	if err := c.RFC3164CiscoComponents.check(c.SyslogFormat); err != nil {
		return err
	}
	if c.secure() && c.Protocol == tcp {
		s := c.tls()
		return component.At("tls_config", s.CheckServer())
	}
	return nil
}

func (c *ListenerConfig) idle() time.Duration { return cmp.Or(c.IdleTimeout, defaultIdle) }
func (c *ListenerConfig) longest() int        { return cmp.Or(c.MaxMessageLength, defaultMessage) }

// frames splits what the listener receives.
func (c *ListenerConfig) frames() frames {
	f := frames{max: c.longest(), raw: c.SyslogFormat == raw, lineEnd: '\n'}
	if f.raw && c.RawFormatOptions != nil && c.RawFormatOptions.UseNullTerminatorDelimiter {
		f.lineEnd = 0
	}
	return f
}

// secure reports whether the listener expects TLS.
func (c *ListenerConfig) secure() bool {
	s := c.tls()
	return s.Cert.Set() || s.Key.Set() || s.ClientCA.Set()
}

// tls is tls_config as the server's side: the authorities are those that clients
// need a certificate of.
func (c *ListenerConfig) tls() tlsconfig.Settings {
	t := c.TLS
	if t == nil {
		return tlsconfig.Settings{}
	}
	s := tlsconfig.Settings{
		Cert:     tlsconfig.PEM{Name: "cert", Text: t.Cert, File: t.CertFile},
		Key:      tlsconfig.PEM{Name: "key", Text: string(t.Key), File: t.KeyFile},
		ClientCA: tlsconfig.PEM{Name: "ca", Text: t.CA, File: t.CAFile},
		Reload:   tlsconfig.EachHandshake,
	}
	if s.ClientCA.Set() {
		s.ClientAuth = tls.RequireAndVerifyClientCert
	}
	s.Min, _ = tlsconfig.Plain.Version("min_version", t.MinVersion, 0) // Validate has seen it
	return s
}

// server makes the TLS settings; nil: the listener speaks plain TCP.
func (c *ListenerConfig) server() (*tls.Config, error) {
	if c.Protocol != tcp || !c.secure() {
		return nil, nil
	}
	s := c.tls()
	out, err := s.Server()
	if err != nil {
		return nil, component.At("tls_config", err)
	}
	out.SessionTicketsDisabled = true // senders do not read, and look whether there is anything: see conn.stop
	return out, nil
}

// warn reports the settings that have no effect.
func (c *ListenerConfig) warn(at string, warn func(path, why string)) {
	if c.TLS != nil && c.Protocol == udp {
		warn(at+"/tls_config", "datagrams are not encrypted; use protocol = \"tcp\"")
		return
	}
	if c.TLS != nil && (c.TLS.ServerName != "" || c.TLS.InsecureSkipVerify) {
		warn(at+"/tls_config", "server_name and insecure_skip_verify are for clients")
	}
	if c.UseRFC5424Message && c.SyslogFormat != rfc5424 {
		warn(at+"/use_rfc5424_message", "it is for syslog_format = \"rfc5424\"")
	}
	if c.UseIncomingTimestamp && c.SyslogFormat == raw {
		warn(at+"/use_incoming_timestamp", "nothing is read from messages with syslog_format = \"raw\"")
	}
	if c.RawFormatOptions != nil && c.SyslogFormat != raw {
		warn(at+"/raw_format_options", "it is for syslog_format = \"raw\"")
	}
}

// Validate reports a rule that is wrong for all listeners.
func (c *Config) Validate() error {
	seen := make(map[string]bool)
	for i, l := range c.Listeners {
		key := l.Protocol + " " + l.Address
		if _, port, _ := net.SplitHostPort(l.Address); seen[key] && port != "0" {
			return component.At(component.Block("listener", i)+"/address", errors.New("another listener has the same address and protocol"))
		}
		seen[key] = true
	}
	return nil
}
