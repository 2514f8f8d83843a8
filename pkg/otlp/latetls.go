package otlp

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"

	"google.golang.org/grpc/credentials"

	"collector/pkg/httpclient"
)

// lateTLS is the client's side of TLS whose files were absent when the exporter was
// made: they are looked for with each connection, which fails until they are there.
type lateTLS struct {
	settings *TLSClient

	mu   sync.Mutex
	made credentials.TransportCredentials // guarded by mu
}

func (l *lateTLS) get() (credentials.TransportCredentials, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made != nil {
		return l.made, nil
	}
	c, err := l.settings.config()
	if err != nil {
		return nil, err
	}
	l.made = credentials.NewTLS(c)
	return l.made, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (l *lateTLS) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	made, err := l.get()
	if err != nil {
		return nil, nil, err
	}
	return made.ClientHandshake(ctx, authority, conn)
}

// ServerHandshake implements credentials.TransportCredentials.
func (l *lateTLS) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	made, err := l.get()
	if err != nil {
		return nil, nil, err
	}
	return made.ServerHandshake(conn)
}

// Info implements credentials.TransportCredentials.
func (l *lateTLS) Info() credentials.ProtocolInfo {
	return credentials.NewTLS(&tls.Config{ServerName: l.settings.ServerName}).Info()
}

// Clone implements credentials.TransportCredentials.
func (l *lateTLS) Clone() credentials.TransportCredentials { return &lateTLS{settings: l.settings} }

// OverrideServerName implements credentials.TransportCredentials.
func (l *lateTLS) OverrideServerName(name string) error {
	settings := *l.settings
	settings.ServerName = name
	l.settings = &settings
	return nil
}

// later is the client whose files were absent when the exporter was made.
func (c *HTTPClient) later() (*http.Client, error) {
	client, err := c.client(nil)
	if err != nil {
		return nil, err
	}
	client.Transport = httpclient.Later(func() (http.RoundTripper, error) {
		t, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		made, err := c.client(t)
		if err != nil {
			return nil, err
		}
		return made.Transport, nil
	})
	return client, nil
}
