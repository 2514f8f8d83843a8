// Package conntrack stands in for github.com/mwitkow/go-conntrack, by a replace
// directive in the collector's go.mod.
//
// The original counts and traces connections, which nothing here reads, and for
// tracing it imports golang.org/x/net/trace and with that html/template. A
// program with a template in it keeps every exported method of every type: 6 MB
// of the collector's binary. Its only user here, the HTTP client of
// github.com/prometheus/common/config, calls what stands below.
package conntrack

import (
	"context"
	"net"
)

// DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// DialerOpt is a setting of a dialer.
type DialerOpt func(*DialFunc)

// DialWithDialContextFunc replaces the function that dials.
func DialWithDialContextFunc(dial DialFunc) DialerOpt {
	return func(d *DialFunc) { *d = dial }
}

// DialWithTracing and DialWithName say how connections are to be counted and
// traced, which this package does not do.
func DialWithTracing() DialerOpt    { return func(*DialFunc) {} }
func DialWithName(string) DialerOpt { return func(*DialFunc) {} }

// NewDialContextFunc returns the function that dials.
func NewDialContextFunc(options ...DialerOpt) DialFunc {
	var dialer net.Dialer
	dial := DialFunc(dialer.DialContext)
	for _, set := range options {
		set(&dial)
	}
	return dial
}
