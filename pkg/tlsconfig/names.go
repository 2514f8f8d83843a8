package tlsconfig

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"collector/pkg/component"
)

// Style is how a block spells the versions of TLS and the curves.
type Style int

// The styles of Alloy's blocks.
const (
	Plain    Style = iota // "TLS12", "CurveP256", of Prometheus and the program's own server
	Prefixed              // "VersionTLS12", and those of Plain, of dskit's servers
	Numbers               // "1.2", "P256", of OpenTelemetry
)

// Version reads a version of TLS; "" is otherwise.
func (s Style) Version(argument, name string, otherwise uint16) (uint16, error) {
	spelled := name
	switch s {
	case Prefixed:
		spelled = strings.TrimPrefix(name, "Version")
	case Numbers: // also as its documentation has it
		spelled = strings.TrimSpace(strings.TrimPrefix(name, "TLS"))
	}
	if spelled == "" {
		return otherwise, nil
	}
	return choice(argument, spelled, s.versions())
}

func (s Style) versions() map[string]uint16 {
	if s == Numbers {
		return map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	}
	return map[string]uint16{"TLS10": tls.VersionTLS10, "TLS11": tls.VersionTLS11, "TLS12": tls.VersionTLS12, "TLS13": tls.VersionTLS13}
}

// Curves reads the names of curves.
func (s Style) Curves(argument string, names []string) ([]tls.CurveID, error) {
	known := map[string]tls.CurveID{"X25519": tls.X25519}
	prefix := "Curve"
	if s == Numbers {
		known["X25519MLKEM768"], prefix = tls.X25519MLKEM768, ""
	}
	for name, id := range map[string]tls.CurveID{"P256": tls.CurveP256, "P384": tls.CurveP384, "P521": tls.CurveP521} {
		known[prefix+name] = id
	}
	return choices(argument, names, known)
}

// CipherSuites reads the names of cipher suites: of those that are secure, or of
// all, as old clients may need them.
func CipherSuites(argument string, names []string, all bool) ([]uint16, error) {
	known := make(map[string]uint16)
	for _, s := range tls.CipherSuites() {
		known[s.Name] = s.ID
	}
	if all {
		for _, s := range tls.InsecureCipherSuites() {
			known[s.Name] = s.ID
		}
	}
	return choices(argument, names, known)
}

// ClientAuth reads what a server asks of clients; "" is nothing.
func ClientAuth(argument, name string) (tls.ClientAuthType, error) {
	if name == "" {
		return tls.NoClientCert, nil
	}
	return choice(argument, name, map[string]tls.ClientAuthType{
		"NoClientCert": tls.NoClientCert, "RequestClientCert": tls.RequestClientCert,
		"RequireAnyClientCert": tls.RequireAnyClientCert, "VerifyClientCertIfGiven": tls.VerifyClientCertIfGiven,
		"RequireAndVerifyClientCert": tls.RequireAndVerifyClientCert,
	})
}

func choice[T any](argument, name string, of map[string]T) (T, error) {
	v, ok := of[name]
	if !ok {
		return v, component.At(argument, fmt.Errorf("%q is unknown: use one of %s", name, strings.Join(slices.Sorted(maps.Keys(of)), ", ")))
	}
	return v, nil
}

func choices[T any](argument string, names []string, of map[string]T) ([]T, error) {
	var out []T
	var errs []error
	for _, name := range names {
		v, err := choice(argument, name, of)
		out, errs = append(out, v), append(errs, err)
	}
	return out, errors.Join(errs...)
}
