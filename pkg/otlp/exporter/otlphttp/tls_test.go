package otlphttp

import (
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/otlp/security"
)

func TestAWrongCertificateIsNamedWithItsArgument(t *testing.T) {
	c := Config{Client: Client{TLS: security.TLSClient{TLS: security.TLS{CA: "no PEM"}}}}
	if _, err := New(c, component.Options{}); err == nil || !strings.HasPrefix(err.Error(), "client > tls > ca_pem: ") {
		t.Errorf("got %v", err)
	}
}
