package security

import (
	"crypto/tls"
	"strings"
	"testing"
)

func TestKeysInATPMAreRejected(t *testing.T) {
	if err := (&TPM{Enabled: true}).Validate(); err == nil || !strings.HasPrefix(err.Error(), "enabled: ") {
		t.Errorf("got %v", err)
	}
}

func TestTLSSettings(t *testing.T) {
	f := func(s TLS, want string) {
		t.Helper()
		err := (&TLSClient{TLS: s}).Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
	f(TLS{}, "")
	f(TLS{MinVersion: "1.2", MaxVersion: "TLS 1.3"}, "")
	f(TLS{MinVersion: "1.4"}, "min_version")
	f(TLS{MinVersion: "1.3", MaxVersion: "1.2"}, "above max_version")
	f(TLS{CertFile: "x"}, "key_file")
	f(TLS{KeyFile: "x"}, "cert_file")
	f(TLS{CertFile: "x", Cert: "y", KeyFile: "z"}, "cert_pem")
	f(TLS{CipherSuites: []string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, CurvePreferences: []string{"X25519", "P256"}}, "")
	f(TLS{CipherSuites: []string{"TLS_RSA_WITH_RC4_128_SHA"}}, "cipher_suites")
	f(TLS{CurvePreferences: []string{"P1"}}, "curve_preferences")
	c, err := (&TLSClient{TLS: TLS{MinVersion: "TLS 1.3"}, ServerName: "x", InsecureSkipVerify: true}).Config()
	if err != nil || c.MinVersion != tls.VersionTLS13 || c.ServerName != "x" || !c.InsecureSkipVerify {
		t.Errorf("%+v (%v)", c, err)
	}
}
