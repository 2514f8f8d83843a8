package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	_ "embed"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"collector/pkg/backoff"
	"collector/pkg/component"
	"collector/pkg/listen"
)

// HTTPConfig is the block http: authentication and TLS.
type HTTPConfig struct {
	Auth *AuthConfig `alloy:"auth,block,optional"`
	TLS  *TLSConfig  `alloy:"tls,block,optional"`
}

// AuthConfig says who may use the server. Without a filter, all of it asks for
// a password.
type AuthConfig struct {
	Basic  *BasicConfig  `alloy:"basic,block,optional"`
	Filter *FilterConfig `alloy:"filter,block,optional"`
}

// BasicConfig is a name and a password.
type BasicConfig struct {
	Username string           `alloy:"username,attr"`
	Password component.Secret `alloy:"password,attr"`
}

// Validate rejects credentials that would let in anyone.
func (c *BasicConfig) Validate() error {
	if c.Username == "" && c.Password == "" {
		return errors.New("username and password are both empty, so anyone could log in: set them, or remove the block")
	}
	return nil
}

// FilterConfig says for which paths a password is needed.
type FilterConfig struct {
	Paths []string `alloy:"paths,attr,optional"`
	// AuthenticateMatching asks for it at Paths only; otherwise it is asked for
	// everywhere else.
	AuthenticateMatching bool `alloy:"authenticate_matching_paths,attr,optional"`
}

// SetToDefault sets Alloy's default.
func (c *FilterConfig) SetToDefault() { *c = FilterConfig{AuthenticateMatching: true} }

// access is what a block http requires.
type access struct {
	user, password [sha256.Size]byte
	auth           bool
	filter         *FilterConfig
	tls            *tls.Config // nil for plain HTTP
}

func newAccess(c HTTPConfig) (*access, error) {
	a := &access{}
	if c.Auth != nil && c.Auth.Basic != nil {
		a.auth, a.filter = true, c.Auth.Filter
		a.user, a.password = sha256.Sum256([]byte(c.Auth.Basic.Username)), sha256.Sum256([]byte(c.Auth.Basic.Password))
	}
	if c.TLS == nil {
		return a, nil
	}
	var err error
	a.tls, err = c.TLS.config()
	return a, err
}

// demanded reports whether a request for any of paths needs a password. They are
// the path as requested, and as served without the prefix: a filter may mean either.
func (a *access) demanded(paths ...string) bool {
	if !a.auth || a.filter == nil {
		return a.auth
	}
	for _, path := range paths {
		matches := slices.ContainsFunc(a.filter.Paths, func(p string) bool { return strings.HasPrefix(path, p) })
		if matches == a.filter.AuthenticateMatching {
			return true
		}
	}
	return false
}

// admits checks a name and a password, in constant time.
func (a *access) admits(user, password string) bool {
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(u[:], a.user[:])&subtle.ConstantTimeCompare(p[:], a.password[:]) == 1
}

// Access is what the running block http requires. It is safe for concurrent use.
type Access struct {
	current atomic.Pointer[access]
	// kept is from the last configuration that loaded: what current goes back to if
	// the next one fails.
	kept atomic.Pointer[access]
}

// Keep confirms the block that was bound last, or none: the configuration was
// loaded, with or without a block http.
func (a *Access) Keep(block bool) {
	if !block {
		a.current.Store(nil)
	}
	a.kept.Store(a.current.Load())
}

// Open reports whether everyone who reaches the server may use its pages.
func (a *Access) Open() bool {
	now := a.current.Load()
	switch {
	case now == nil:
		return true
	case now.tls != nil && now.tls.ClientAuth >= tls.RequireAnyClientCert:
		return false
	}
	return !now.demanded("/")
}

// HTTPBlock is a block http as a component. It takes effect when it is bound, before
// the rest of its configuration runs, so that the server is never open in between.
type HTTPBlock struct {
	access  *Access
	demands *access
}

//go:embed http.md
var httpPage string

func httpDefinition(a *Access) component.Definition {
	construct := func(c HTTPConfig, o component.Options) (*HTTPBlock, error) { return NewHTTPBlock(a, c, o) }
	return component.DefineBlock("http", construct, component.Doc{Page: httpPage})
}

// NewHTTPBlock makes the component for a block http.
func NewHTTPBlock(a *Access, c HTTPConfig, o component.Options) (*HTTPBlock, error) {
	o = o.WithDefaults()
	if c.Auth != nil && c.Auth.Basic == nil && c.Auth.Filter != nil {
		o.Warn("auth/filter", "there is no basic block next to it, so no password is required")
	}
	demands, err := newAccess(c)
	if err != nil {
		return nil, err
	}
	return &HTTPBlock{access: a, demands: demands}, nil
}

// Bind makes the block take effect.
func (b *HTTPBlock) Bind() error {
	b.access.current.Store(b.demands)
	return nil
}

// Close undoes Bind, unless another block was bound since.
func (b *HTTPBlock) Close() { b.access.current.CompareAndSwap(b.demands, b.access.kept.Load()) }

// Run only waits. The block stays in effect when Run ends: whoever stops it knows
// whether another one replaces it.
func (b *HTTPBlock) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// authenticate asks for a password where the block http requires one.
func (s *Server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := s.options.Access.current.Load()
		if a == nil || !a.demanded(r.URL.Path, s.servedPath(r.URL.Path)) {
			next.ServeHTTP(w, r)
			return
		}
		user, password, ok := r.BasicAuth()
		if !ok {
			unauthorized(w)
			return
		}
		v, delay, answered := s.guesses.try(listen.ClientOf(r.RemoteAddr), func() bool { return a.admits(user, password) })
		switch v {
		case unheard:
			s.refused.WithLabelValues(refusedGuesses).Inc()
			w.Header().Set("Retry-After", strconv.Itoa(int(delay.Seconds())))
			http.Error(w, "too many wrong passwords from this address; try again later", http.StatusTooManyRequests)
			return
		case wrong:
			defer answered()
			s.refused.WithLabelValues(refusedPassword).Inc()
			if delay > 0 {
				s.quiet.Warn(s.options.Logger, listen.ClientOf(r.RemoteAddr), "wrong passwords from a client, slowing it down", "client", r.RemoteAddr)
				_ = backoff.Sleep(r.Context(), delay, nil) // no response to a client that has disconnected
			}
			unauthorized(w)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passwordGiven{}, true)))
	})
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="Restricted", charset="UTF-8"`)
	http.Error(w, "unauthorized", http.StatusUnauthorized)
}

// passwordGiven is the context key that authenticate sets.
type passwordGiven struct{}

// gavePassword reports whether a password was required and given.
func gavePassword(r *http.Request) bool { return r.Context().Value(passwordGiven{}) != nil }

// servedPath is path without the prefix.
func (s *Server) servedPath(path string) string {
	if rest, ok := strings.CutPrefix(path, s.options.Prefix+"/"); ok && s.options.Prefix != "" {
		return "/" + rest
	}
	return path
}

// secured uses TLS for new connections while a block http requires it. Open
// connections stay as they are, as in Alloy.
type secured struct {
	net.Listener
	access *Access
}

func (l secured) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if a := l.access.current.Load(); a != nil && a.tls != nil {
		return tls.Server(conn, a.tls), nil
	}
	return conn, nil
}
