package otlp

import "context"

// clientMetadata looks up the values of a header that a client sent with its
// request. Names are in lower case.
type clientMetadata func(name string) []string

type metadataKey struct{}

// withMetadata lets the components behind a receiver see what the client sent.
func withMetadata(ctx context.Context, m clientMetadata) context.Context {
	return context.WithValue(ctx, metadataKey{}, m)
}

// metadataOf returns what withMetadata put there, or a lookup of nothing.
func metadataOf(ctx context.Context) clientMetadata {
	if m, ok := ctx.Value(metadataKey{}).(clientMetadata); ok {
		return m
	}
	return func(string) []string { return nil }
}
