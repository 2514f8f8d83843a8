// Package security is how the ends of OTLP know each other: the tls blocks of servers
// and clients, and auth.
package security

import (
	"errors"

	"collector/pkg/component"
)

// CheckAuth refuses authentication handlers.
func CheckAuth(auth string) error {
	if auth != "" {
		return component.At("auth", errors.New("authentication handlers (otelcol.auth.*) are not supported; use headers on the sender, or TLS with client certificates on both sides"))
	}
	return nil
}
