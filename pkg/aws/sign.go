package aws

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Request says what a request is signed for.
type Request struct {
	Service, Region string
	// Headers are signed besides the host, the date, the hash of the body, and what
	// the body is.
	Headers []string
	// Plain signs the path as it is sent, as S3 requires; all other services require
	// it to be escaped once more.
	Plain bool
}

// Sign adds the headers of AWS Signature Version 4 to r, whose body is given. It covers
// the host, the date and the hash of the body, and every header that says what the body
// is.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func Sign(r *http.Request, body []byte, of Request, keys Keys, now time.Time) {
	hash := sha256.Sum256(body)
	stamp := now.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", stamp)
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(hash[:]))
	if keys.Session != "" {
		r.Header.Set("X-Amz-Security-Token", string(keys.Session))
	}

	names, headers := signedHeaders(r, of.Headers)
	request := sha256.Sum256([]byte(strings.Join([]string{
		r.Method, canonicalPath(r.URL, of.Plain), canonicalQuery(r.URL), headers, names, hex.EncodeToString(hash[:]),
	}, "\n")))
	scope := strings.Join([]string{stamp[:8], of.Region, of.Service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hex.EncodeToString(request[:])}, "\n")

	key := []byte("AWS4" + string(keys.Secret))
	for _, part := range []string{stamp[:8], of.Region, of.Service, "aws4_request", text} {
		key = mac(key, part)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+keys.Access+"/"+scope+
		", SignedHeaders="+names+", Signature="+hex.EncodeToString(key))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// signedHeaders returns the names of the headers that are signed, and each on
// a line of its own with its value.
func signedHeaders(r *http.Request, more []string) (names, lines string) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	values := map[string]string{"host": host}
	for _, name := range append([]string{"Content-Type", "Content-Encoding", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token"}, more...) {
		if v := r.Header.Get(name); v != "" {
			values[strings.ToLower(name)] = strings.Join(strings.Fields(v), " ")
		}
	}
	var sorted []string
	for name := range values {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	var b strings.Builder
	for _, name := range sorted {
		b.WriteString(name + ":" + values[name] + "\n")
	}
	return strings.Join(sorted, ";"), b.String()
}

// canonicalPath is the path as it is sent, escaped once more unless it is plain.
func canonicalPath(u *url.URL, plain bool) string {
	path := u.EscapedPath()
	switch {
	case path == "":
		return "/"
	case plain:
		return path
	}
	return Escape(path, true)
}

func canonicalQuery(u *url.URL) string {
	type pair struct{ name, value string }
	var pairs []pair
	for name, values := range u.Query() {
		for _, v := range values {
			pairs = append(pairs, pair{Escape(name, false), Escape(v, false)})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value))
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String()
}

// Escape escapes every byte that RFC 3986 does not call unreserved.
func Escape(s string, keepSlash bool) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(unreserved, s[i]) >= 0 || keepSlash && s[i] == '/' {
			b.WriteByte(s[i])
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{s[i]})))
	}
	return b.String()
}
