package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
)

// BasicConfig is the configuration of otelcol.auth.basic.
type BasicConfig struct {
	Username     string            `alloy:"username,attr"`
	Password     component.Secret  `alloy:"password,attr"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// SetToDefault sets the defaults.
func (c *BasicConfig) SetToDefault() {
	*c = BasicConfig{}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *BasicConfig) Validate() error {
	hashes := []string{"$2a$", "$2b$", "$2y$", "$1$", "$apr1$", "$5$", "$6$", "{SHA}", "{SSHA}"}
	if slices.ContainsFunc(hashes, func(prefix string) bool { return strings.HasPrefix(string(c.Password), prefix) }) {
		return component.At("password", errors.New("it looks like the hash of a password: write the password itself"))
	}
	return nil
}

//go:embed otelcol.auth.basic.md
var basicPage string

func basicDefinition() component.Definition {
	return component.Define("otelcol.auth.basic", NewBasic, doc(basicPage))
}

// NewBasic makes otelcol.auth.basic.
func NewBasic(c BasicConfig, o component.Options) (*Component, error) {
	o = o.WithDefaults()
	if strings.Contains(c.Username, ":") {
		o.Warn("username", "basic authentication cannot send a name with a colon: servers see the part before it")
	}
	if c.Password == "" {
		o.Warn("password", "it is empty (is an environment variable not set?): receivers reject everyone")
	}
	credentials := c.Username + ":" + string(c.Password)
	header := fixed{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))}
	return newComponent(o, &c.DebugMetrics, header, basicServer{c.Username, string(c.Password)}), nil
}

type basicServer struct{ username, password string }

// Authenticate implements Server.
func (s basicServer) Authenticate(headers flow.Metadata) (map[string]string, error) {
	const scheme = "Basic "
	sent := headers.Values("Authorization")
	if len(sent) == 0 || sent[0] == "" {
		return nil, errMissing
	}
	if len(sent[0]) < len(scheme) || !strings.EqualFold(sent[0][:len(scheme)], scheme) {
		return nil, fmt.Errorf("%w: the scheme is not Basic", errWrong)
	}
	raw := sent[0][len(scheme):]
	decoded, err := base64.StdEncoding.DecodeString(raw)
	username, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok {
		return nil, fmt.Errorf("%w: they are not the Base64 of NAME:PASSWORD", errWrong)
	}
	if right := equal(username, s.username) & equal(password, s.password); right != 1 || s.password == "" {
		return nil, errWrong
	}
	return map[string]string{"username": username, "raw": raw}, nil
}

// equal is 1 if the texts are equal, and takes as long if they are not.
func equal(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
