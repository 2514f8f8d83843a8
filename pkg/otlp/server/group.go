package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/security"
)

// Endpoint is an address at which a receiver listens.
type Endpoint struct {
	Network, Address string
	Argument         string // that sets the address: "grpc > endpoint"
	Transport        string // for the log, and to distinguish endpoints
	// Serve serves until ctx ends, and closes the listener. Of datagrams, ServePackets.
	Serve        func(ctx context.Context, l net.Listener) error
	ServePackets func(ctx context.Context, p *listen.Packets) error
}

// Group is all endpoints of a receiver. Its ports stay open across reloads.
type Group struct {
	Receives string // what clients send, for the log: "OTLP"
	// Load is called before Run serves, which fails if Load does.
	Load func() error

	endpoints []Endpoint
	o         component.Options

	mu    sync.Mutex
	bound []bound // taken by Bind, until Run or Close; guarded by mu
}

// bound is the listener of an endpoint.
type bound struct {
	listener net.Listener
	packets  *listen.Packets
}

func (b bound) addr() net.Addr {
	if b.packets != nil {
		return b.packets.Addr()
	}
	return b.listener.Addr()
}

func (b bound) Close() error {
	if b.packets != nil {
		return b.packets.Close()
	}
	return b.listener.Close()
}

// NewGroup makes a group of endpoints. o has its defaults.
func NewGroup(receives string, o component.Options, endpoints ...Endpoint) *Group {
	return &Group{Receives: receives, endpoints: endpoints, o: o}
}

// Bind takes the listeners: all, or none. Calling it again does nothing.
func (g *Group) Bind() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bound != nil {
		return nil
	}
	var all []bound
	for _, e := range g.endpoints {
		var b bound
		var err error
		if e.ServePackets != nil {
			b.packets, err = g.o.Listeners.ListenPackets(e.Network, e.Address, g.o.ID+": "+e.Argument)
		} else {
			b.listener, err = g.o.Listeners.Listen(e.Network, e.Address, g.o.ID+": "+e.Argument)
		}
		if err != nil {
			for _, b := range all {
				b.Close()
			}
			return err
		}
		all = append(all, b)
	}
	g.bound = all
	return nil
}

// Close gives back what Bind took.
func (g *Group) Close() {
	for _, b := range g.take() {
		b.Close()
	}
}

func (g *Group) take() []bound {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.bound
	g.bound = nil
	return all
}

// Addr is where the endpoint of a transport listens; nil: it is not bound, or served
// already.
func (g *Group) Addr(transport string) net.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, b := range g.bound {
		if g.endpoints[i].Transport == transport {
			return b.addr()
		}
	}
	return nil
}

// Run serves until ctx ends, and gives requests in progress a moment to end.
func (g *Group) Run(ctx context.Context) error {
	if g.Load != nil {
		if err := g.Load(); err != nil {
			g.Close()
			return err
		}
	}
	if err := g.Bind(); err != nil {
		return err
	}
	all := g.take()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(all))
	for i, b := range all {
		e, address := g.endpoints[i], b.addr().String()
		g.o.Logger.Info("receiving "+g.Receives, "transport", e.Transport, "address", address)
		wg.Go(func() {
			defer cancel() // one that fails ends the others
			var err error
			if b.packets != nil {
				err = e.ServePackets(ctx, b.packets)
			} else {
				err = e.Serve(ctx, b.listener)
			}
			if err != nil {
				errs[i] = fmt.Errorf("serve %s on %s: %w", e.Transport, address, err)
			}
		})
	}
	if len(all) == 0 {
		<-ctx.Done()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Listens says where the endpoints are, for the UI.
func (g *Group) Listens(name func(Endpoint) string) (listens []string) {
	for _, e := range g.endpoints {
		listens = append(listens, name(e)+" on "+e.Address)
	}
	return listens
}

// LoadTLS reads the certificates of a server into to, unless they have been. block is
// where its arguments are, for messages. Run does so until the files are there, as
// Alloy, too, starts without them.
func LoadTLS(to **tls.Config, block string, settings *security.TLSServer, protocols ...string) error {
	if settings == nil || *to != nil {
		return nil
	}
	c, err := settings.Config(protocols...)
	if err != nil {
		return component.At(block+"tls", err)
	}
	*to = c
	return nil
}
