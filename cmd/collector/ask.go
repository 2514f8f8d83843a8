package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

const (
	// askTime bounds all requests of a command to a running collector.
	askTime = 15 * time.Second
	// maxAsked bounds an answer.
	maxAsked = 256 << 20
	// passwordVariable is the password, unless --password-file names a file with it.
	passwordVariable = "COLLECTOR_PASSWORD"
	addrFlag         = "addr"
	passwordFileFlag = "password-file"
)

// asker asks a running collector, over its HTTP API.
type asker struct {
	addr, user, passwordFile, caFile string
	insecure, json                   bool
}

// flags declares the flags of the commands that ask a running collector.
func (a *asker) flags(set *pflag.FlagSet) {
	set.StringVar(&a.addr, addrFlag, "", "address of the running collector, host:port or a URL; detected automatically inside a container, else 127.0.0.1:12345")
	set.StringVar(&a.user, "user", "", "user name, if the http block sets one; the password is read from --"+passwordFileFlag+" or the variable "+passwordVariable)
	set.StringVar(&a.passwordFile, passwordFileFlag, "", "file with the password")
	set.StringVar(&a.caFile, "ca-file", "", "certificates (PEM) to trust, if the http block turns on TLS with a private CA")
	set.BoolVar(&a.insecure, "insecure-skip-verify", false, "do not verify the collector's certificate")
	set.BoolVar(&a.json, "json", false, "print the API's JSON")
}

// asked is an error that the collector itself answered with.
type asked struct {
	status int
	body   []byte
}

func (e *asked) Error() string {
	var answer struct{ Error string }
	if err := json.Unmarshal(e.body, &answer); err == nil && answer.Error != "" {
		return answer.Error
	}
	return fmt.Sprintf("%d %s: %s", e.status, http.StatusText(e.status), bytes.TrimSpace(e.body[:min(len(e.body), 300)]))
}

// get returns the answer to a GET of the API.
func (a *asker) get(path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	base, err := a.base()
	if err != nil {
		return nil, err
	}
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	if base.Scheme == "" {
		base.Scheme = "http"
		// Which of the two it speaks is found out before the password is sent.
		if speaksTLS(ctx, client, base) {
			base.Scheme = "https"
		}
	}
	user := base.User
	base.User = nil
	shown := base.String()
	at := base.JoinPath(path)
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	if err := a.authorize(req, user); err != nil {
		return nil, err
	}
	status, body, err := ask(client, req)
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask the collector at %s: %w; is it running? --%s says where it listens", shown, withoutURL(err), addrFlag)
	case status == http.StatusUnauthorized:
		return nil, fmt.Errorf("the collector at %s requires a password: set --user, and --%s or the variable %s", shown, passwordFileFlag, passwordVariable)
	case status == http.StatusNotFound && !json.Valid(body):
		return nil, fmt.Errorf("%s%s is not found: is this a collector, and of the same version?", shown, path)
	case status != http.StatusOK:
		return nil, &asked{status, body}
	}
	return body, nil
}

// base is where the collector's paths begin. Its scheme is empty if the user gave none.
func (a *asker) base() (*url.URL, error) {
	addr := cmp.Or(a.addr, addressOfProcess1("/proc/1/cmdline"))
	if strings.Contains(addr, "://") {
		u, err := url.Parse(addr)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("--%s: not a valid URL; for example: http://127.0.0.1:12345", addrFlag)
		}
		return u, nil
	}
	return &url.URL{Host: reachable(addr)}, nil
}

func (a *asker) client() (*http.Client, error) {
	conf := &tls.Config{InsecureSkipVerify: a.insecure}
	if a.caFile != "" {
		text, err := os.ReadFile(a.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		if conf.RootCAs = x509.NewCertPool(); !conf.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca-file: no PEM certificate in %s", a.caFile)
		}
	}
	// Without a proxy, whichever the environment names, and no redirect: it would get
	// the password.
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: conf},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// authorize adds the password, if there is one.
func (a *asker) authorize(req *http.Request, inURL *url.Userinfo) error {
	if a.user == "" && inURL == nil {
		return nil
	}
	user, password := a.user, os.Getenv(passwordVariable)
	if inURL != nil {
		user = inURL.Username()
		if p, ok := inURL.Password(); ok {
			password = p
		}
	}
	if a.passwordFile != "" {
		text, err := os.ReadFile(a.passwordFile)
		if err != nil {
			return fmt.Errorf("--%s: %w", passwordFileFlag, err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	req.SetBasicAuth(user, password)
	return nil
}

// speaksTLS reports whether the collector wants TLS.
func speaksTLS(ctx context.Context, client *http.Client, base *url.URL) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+base.Host+"/-/ready", nil)
	if err != nil {
		return false
	}
	status, body, err := ask(client, req)
	return err == nil && status == http.StatusBadRequest && bytes.Contains(body, []byte("HTTPS server"))
}

func ask(client *http.Client, req *http.Request) (status int, body []byte, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAsked))
	return resp.StatusCode, body, err
}

// show asks, and prints the answer as JSON, or reads it into v for someone else to
// print.
func (a *asker) show(path string, query url.Values, v any, out io.Writer, print func() error) error {
	body, err := a.get(path, query)
	if err != nil {
		return err
	}
	if a.json {
		_, err := out.Write(body)
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("read the collector's answer: %w", err)
	}
	return print()
}

// withoutURL is err without the method and URL that net/http puts in front.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
