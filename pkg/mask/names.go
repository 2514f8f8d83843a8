package mask

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// NamesSecret reports whether an argument, a header or a parameter of this name
// holds what must not be shown. The name of a file or an address is no secret.
func NamesSecret(name string) bool {
	if strings.HasSuffix(name, "_file") || strings.HasSuffix(name, "_url") {
		return false
	}
	// Pages call this for each label of thousands of targets.
	lower := strings.ToLower(name)
	for _, word := range [...]string{
		"password", "secret", "token", "credentials", "passphrase", "authorization", "cookie", "key_pem", "apikey", "api-key", "api_key",
		"passwd", "signature", "private_key", "private-key", "access_key", "access-key",
	} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	parameter, ok := strings.CutPrefix(lower, paramPrefix)
	return ok && slices.ContainsFunc(strings.FieldsFunc(parameter, func(c rune) bool { return c == '_' || c == '-' || c == '.' }), briefSecret)
}

// paramPrefix begins the names of labels that are parameters of a scrape.
const paramPrefix = "__param_"

// briefSecret reports whether a part of a parameter's name is what secrets are
// called there.
func briefSecret(part string) bool {
	return slices.Contains([]string{"key", "sig", "auth", "pass", "pwd", "pw", "code"}, part)
}

// ShowsParameter reports whether the value of a URL's parameter of this name may be
// shown: secrets have too many names there ("key", "sig", "auth", "code") to list them,
// so these are the names of harmless ones.
func ShowsParameter(name string) bool {
	switch strings.TrimSuffix(strings.ToLower(name), "[]") {
	case "action", "aggregationtype", "all", "collect", "collector", "db", "debug", "direction", "encoding", "end", "exclude", "filters",
		"follow", "format", "from", "gc", "instance", "interval", "job", "level", "limit", "match", "mode", "module", "name", "names", "network", "page",
		"path", "per_page", "period", "precision", "samplerate", "scope", "seconds", "service", "severity", "since", "size", "sort",
		"spyname", "start", "stats", "stderr", "stdout", "step", "stream", "tail", "target", "time", "timeout", "timestamps", "to",
		"type", "units", "until", "v", "verbose", "version", "worker":
		return true
	}
	return false
}

// ShowsHeader reports whether the value of a header of this name may be shown: nobody can
// know what a service calls the header of its key, so these are the names of harmless
// ones. What may follow a redirect to another host is another question, which httpclient
// answers: that says nothing of who sends it.
func ShowsHeader(name string) bool {
	switch strings.ToLower(name) {
	case "accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-encoding", "content-length", "content-type", "host",
		"user-agent", "x-prometheus-remote-write-version", "x-scope-orgid":
		return true
	}
	return false
}

// HidesEntry reports whether the value of an entry of a map must not be shown: of
// headers and of parameters only known ones are.
func HidesEntry(of, name string) bool {
	switch of {
	case "headers", "http_headers", "proxy_connect_header":
		return !ShowsHeader(name)
	case "params", "endpoint_params":
		return !ShowsParameter(name)
	}
	return false
}

// HidesEntries reports whether entries of a map of this name may be hidden.
func HidesEntries(of string) bool { return HidesEntry(of, "") }

// HidesValue reports whether the value of a label or an argument of this name
// must not be shown: of the parameters of a scrape only known ones are shown.
func HidesValue(name string) bool {
	if parameter, ok := strings.CutPrefix(name, paramPrefix); ok && !ShowsParameter(parameter) {
		return true
	}
	return NamesSecret(name)
}

// plainParameter is the name of a parameter that anything but a text can have.
var plainParameter = regexp.MustCompile(`^[A-Za-z0-9_.~$+\[\]-]+$`)

// HidesParameter reports whether the value of a parameter that was found in a
// text must not be shown. What looks less like a URL's, as in a regular
// expression, is judged by its name alone.
func HidesParameter(name string) bool {
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	if plainParameter.MatchString(name) {
		return !ShowsParameter(name)
	}
	return NamesSecret(name)
}
