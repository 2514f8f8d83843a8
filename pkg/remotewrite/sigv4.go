package remotewrite

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// sigV4Service is the service that Prometheus signs for: Amazon Managed
// Service for Prometheus.
const sigV4Service = "aps"

// sign adds the headers of AWS Signature Version 4 to r, whose body is given.
// It covers the host, the date and the hash of the body, and every header that
// says what the body is.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func sign(r *http.Request, body []byte, service, region string, keys awsKeys, now time.Time) {
	hash := sha256.Sum256(body)
	stamp := now.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", stamp)
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(hash[:]))
	if keys.session != "" {
		r.Header.Set("X-Amz-Security-Token", string(keys.session))
	}

	names, headers := signedHeaders(r)
	request := sha256.Sum256([]byte(strings.Join([]string{
		r.Method, canonicalPath(r.URL), canonicalQuery(r.URL), headers, names, hex.EncodeToString(hash[:]),
	}, "\n")))
	scope := strings.Join([]string{stamp[:8], region, service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hex.EncodeToString(request[:])}, "\n")

	key := []byte("AWS4" + string(keys.secret))
	for _, part := range []string{stamp[:8], region, service, "aws4_request", text} {
		key = mac(key, part)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+keys.access+"/"+scope+
		", SignedHeaders="+names+", Signature="+hex.EncodeToString(key))
}

// signer finds the keys for a request, and returns what signs it.
func (a *awsIdentity) signer(ctx context.Context) (func(r *http.Request, body []byte), error) {
	region, err := a.region()
	if err != nil {
		return nil, err
	}
	keys, err := a.keys(ctx)
	if err != nil {
		return nil, err
	}
	return func(r *http.Request, body []byte) { sign(r, body, sigV4Service, region, keys, a.now()) }, nil
}

// resigning is a client's CheckRedirect that signs the requests which check
// lets through: a signature is good for one path only.
func (a *awsIdentity) resigning(check func(next *http.Request, via []*http.Request) error) func(next *http.Request, via []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		if err := check(next, via); err != nil {
			return err
		}
		copied, err := next.GetBody()
		if err != nil {
			return err
		}
		body, err := io.ReadAll(copied)
		if err != nil {
			return err
		}
		signed, err := a.signer(next.Context())
		if err == nil {
			signed(next, body)
		}
		return err
	}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// signedHeaders returns the names of the headers that are signed, and each on
// a line of its own with its value.
func signedHeaders(r *http.Request) (names, lines string) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	values := map[string]string{"host": host}
	for _, name := range []string{"Content-Type", "Content-Encoding", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token"} {
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

// canonicalPath is the path as it is sent, escaped once more.
func canonicalPath(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		return "/"
	}
	return escape(path, true)
}

func canonicalQuery(u *url.URL) string {
	type pair struct{ name, value string }
	var pairs []pair
	for name, values := range u.Query() {
		for _, v := range values {
			pairs = append(pairs, pair{escape(name, false), escape(v, false)})
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

// escape escapes every byte that RFC 3986 does not call unreserved.
func escape(s string, keepSlash bool) string {
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
