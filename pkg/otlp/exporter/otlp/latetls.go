package otlp

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"

	"collector/pkg/otlp/security"
)

// lateTLS is the client's side of TLS whose files were absent when the exporter was
// made: they are looked for with each connection, which fails until they are there.
type lateTLS struct {
	settings *security.TLSClient

	mu   sync.Mutex
	made credentials.TransportCredentials // guarded by mu
}

func (l *lateTLS) get() (credentials.TransportCredentials, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made != nil {
		return l.made, nil
	}
	c, err := l.settings.Config()
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
