package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// healthcheckTime bounds the whole check; Docker's own limit is longer.
const healthcheckTime = 3 * time.Second

// healthcheck asks a running collector whether it is ready. Inside a container
// it needs no flag: it reads the address from the command line of process 1.
func healthcheck(args []string, out io.Writer) error {
	set := pflag.NewFlagSet("healthcheck", pflag.ContinueOnError)
	set.SetOutput(out)
	listen := set.String(listenFlag, "", "address that the collector listens on; found out by itself inside a container")
	if err := set.Parse(args); err != nil {
		return err
	}
	if *listen == "" {
		*listen = addressOfProcess1("/proc/1/cmdline")
	}
	url := "http://" + reachable(*listen) + "/-/ready"
	ctx, cancel := context.WithTimeout(context.Background(), healthcheckTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	direct := &http.Client{Transport: &http.Transport{}} // whatever proxy the environment names
	resp, err := direct.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, resp.Status, bytes.TrimSpace(body))
	}
	_, err = out.Write(body)
	return err
}

// addressOfProcess1 reads the listen address from a command line as /proc
// gives it. Anything that is not `collector run …` gives the default.
func addressOfProcess1(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return defaultListen()
	}
	args := strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
	at := slices.Index(args, "run") // behind the name of an init, perhaps
	set, f := newRunFlags()
	if at < 0 || set.Parse(args[at+1:]) != nil {
		return defaultListen()
	}
	return f.listen
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
