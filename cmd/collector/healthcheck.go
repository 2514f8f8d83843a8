package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"collector/pkg/config"
	"collector/pkg/promtail"
)

// healthcheckTime bounds the whole check; Docker's own limit is longer.
const healthcheckTime = 3 * time.Second

// healthcheck asks a running collector whether it is ready. Inside a container it needs
// no flag: it reads the address from the command line of process 1. With a URL it fetches
// that instead, and so can be the check of containers without a suitable program.
// unix://PATH is a socket of Docker's API, which is pinged; it is also what is asked
// where process 1 is `collector docker-proxy`.
func healthcheck(args []string, out io.Writer) error {
	set := pflag.NewFlagSet("healthcheck", pflag.ContinueOnError)
	set.SetOutput(out)
	describe(set, "healthcheck [URL] checks whether a running collector is ready, or whether URL responds with status 200;\nunix://PATH is the socket of a Docker Engine or of docker-proxy.")
	listen := set.String(listenFlag, "", "address that the collector listens on; detected automatically inside a container")
	if err := set.Parse(args); err != nil {
		return err
	}
	url := set.Arg(0)
	switch {
	case set.NArg() > 1 || url != "" && *listen != "":
		return fmt.Errorf("healthcheck takes one URL, or --%s", listenFlag)
	case *listen != "":
		url = readyAt(*listen)
	case url == "":
		url = urlOfProcess1("/proc/1/cmdline")
	}
	socket := ""
	if path, ok := strings.CutPrefix(url, "unix://"); ok {
		socket, url = path, "http://docker/_ping"
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthcheckTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	status, body, err := fetch(req, socket)
	if err == nil && status == http.StatusBadRequest && req.URL.Scheme == "http" && bytes.Contains(body, []byte("HTTPS server")) {
		req.URL.Scheme = "https" // the block http has TLS in it
		status, body, err = fetch(req, socket)
	}
	asked := req.URL.Redacted()
	if socket != "" {
		asked = "unix://" + socket
	}
	switch {
	case err != nil:
		return fmt.Errorf("ask %s: %w; is it running?", asked, withoutURL(err))
	case status == http.StatusUnauthorized && set.NArg() == 0:
		// The configuration's block http is in force, so that one is loaded.
		body = []byte("The collector is running and requires a password.\n")
	case status != http.StatusOK:
		return fmt.Errorf("%s returned %d %s: %s", asked, status, http.StatusText(status), bytes.TrimSpace(body))
	}
	_, err = out.Write(body)
	return err
}

// fetch gives the status and the beginning of an answer, through a Unix socket if one is
// named. It does not verify the certificate: the answer only says that something runs,
// and is not trusted otherwise.
func fetch(req *http.Request, socket string) (status int, body []byte, err error) {
	// Without a proxy, whichever the environment names.
	direct := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	if socket != "" {
		direct.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
	}
	resp, err := (&http.Client{Transport: direct}).Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, _ = io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return resp.StatusCode, body, nil
}

func readyAt(listen string) string { return "http://" + reachable(listen) + "/-/ready" }

// urlOfProcess1 is what to ask by a command line as /proc gives it.
func urlOfProcess1(path string) string {
	args := commandLine(path)
	if at := slices.Index(args, "docker-proxy"); at >= 0 && !slices.Contains(args, "run") {
		if set, f := newProxyFlags(); set.Parse(args[at+1:]) == nil {
			return "unix://" + f.path()
		}
	}
	return readyAt(addressOfProcess1(path))
}

// commandLine reads a command line as /proc gives it; it is empty if it cannot be read.
func commandLine(path string) []string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
}

// addressOfProcess1 reads the listen address from a command line as /proc
// gives it. Anything that is not `collector run …` gives the default.
func addressOfProcess1(path string) string {
	args := commandLine(path)
	if address := addressOfPromtail(args); address != "" {
		return address
	}
	at := slices.Index(args, "run") // behind the name of an init, perhaps
	set, f := newRunFlags()
	if at < 0 || set.Parse(args[at+1:]) != nil {
		return defaultListen()
	}
	if inPromtailsPlace(set.Arg(0), promtailDefault) {
		return addressOfPromtail([]string{"promtail", "-config.file=" + promtailDefault})
	}
	if file, err := f.format.promtailFile(set.Arg(0)); err == nil && file != nil {
		if result, _, err := file.read(config.Read); err == nil {
			file.settle(f, result)
		}
	}
	return f.listen
}

// addressOfPromtail is the address by a command line with Promtail's flags, behind the
// name of an init perhaps; it is empty for any other command line.
func addressOfPromtail(args []string) string {
	for i := range args {
		if i+1 == len(args) || !calledPromtail(args[i], args[i+1:]) {
			continue
		}
		flags, err := promtail.ParseFlags(args[i+1:], io.Discard)
		if err != nil {
			return ""
		}
		file := &promtailFile{path: flags.File, options: flags.Options}
		if result, _, err := file.read(config.Read); err == nil {
			return result.Server.Address
		}
		return ""
	}
	return ""
}

// reachable turns an address to listen on into one to connect to.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
