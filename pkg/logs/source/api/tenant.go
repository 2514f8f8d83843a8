package api

import (
	"net/http"
	"strings"
)

// tenantHeader names the tenant of a push, and tenantLabel what it becomes: the label by
// which loki.write knows the tenant.
const (
	tenantHeader = "X-Scope-OrgID"
	tenantLabel  = "__tenant_id__"
	maxTenant    = 150
)

// tenantOf is the tenant of a push; empty if there is none, or one that Loki would not
// accept. Its entries are forwarded without it, as in Alloy.
func (s *Source) tenantOf(r *http.Request) string {
	given := r.Header.Get(tenantHeader)
	if given == "" {
		return ""
	}
	tenant, _, several := strings.Cut(given, "|")
	for other := range strings.SplitSeq(given, "|") {
		if several && other != tenant {
			s.wrongTenant(r, "it names more than one tenant")
			return ""
		}
	}
	if !validTenant(tenant) {
		s.wrongTenant(r, "a tenant has at most 150 letters, digits and !-_.*'(), and is not . or ..")
		return ""
	}
	return tenant
}

func (s *Source) wrongTenant(r *http.Request, why string) {
	s.quiet.Warn(s.options.Logger, "tenant", "the tenant of a push is ignored", "header", tenantHeader, "why", why, "client", r.RemoteAddr)
}

func validTenant(name string) bool {
	return name != "" && len(name) <= maxTenant && name != "." && name != ".." && !strings.ContainsFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("!-_.*'()", c))
	})
}
