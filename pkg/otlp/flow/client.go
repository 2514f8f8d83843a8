package flow

import (
	"context"
	"net/textproto"
	"strings"
)

// Metadata is what a client sent with its request: headers, whose names gRPC has in
// lower case and HTTP in its canonical form.
type Metadata map[string][]string

// Values are the values of a header, whatever the case.
func (m Metadata) Values(name string) []string {
	if v, ok := m[strings.ToLower(name)]; ok {
		return v
	}
	return m[textproto.CanonicalMIMEHeaderKey(name)]
}

type (
	metadataKey struct{}
	addressKey  struct{}
	authKey     struct{}
)

// WithMetadata lets the components after a receiver see what the client sent.
func WithMetadata(ctx context.Context, m Metadata) context.Context {
	return context.WithValue(ctx, metadataKey{}, m)
}

// MetadataOf returns what WithMetadata put there.
func MetadataOf(ctx context.Context) Metadata {
	m, _ := ctx.Value(metadataKey{}).(Metadata)
	return m
}

// WithAddress lets the components after a receiver see the address of the client,
// HOST:PORT.
func WithAddress(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, addressKey{}, address)
}

// AddressOf returns what WithAddress put there.
func AddressOf(ctx context.Context) string {
	address, _ := ctx.Value(addressKey{}).(string)
	return address
}

// WithAuth lets the components after a receiver see what its authentication knows of the
// client; nil is nothing.
func WithAuth(ctx context.Context, attributes map[string]string) context.Context {
	if attributes == nil {
		return ctx
	}
	return context.WithValue(ctx, authKey{}, attributes)
}

// AuthOf returns what WithAuth put there.
func AuthOf(ctx context.Context) map[string]string {
	attributes, _ := ctx.Value(authKey{}).(map[string]string)
	return attributes
}

// Client is what the components after a receiver can see of the client.
type Client struct {
	metadata Metadata
	address  string
	auth     map[string]string
}

// ClientOf returns what is known of the client, for a request that has to wait.
func ClientOf(ctx context.Context) Client {
	return Client{MetadataOf(ctx), AddressOf(ctx), AuthOf(ctx)}
}

// In returns ctx with this client instead of the one that it has, if any.
func (c Client) In(ctx context.Context) context.Context {
	return context.WithValue(WithAddress(WithMetadata(ctx, c.metadata), c.address), authKey{}, c.auth)
}
