package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"collector/pkg/docker"
	"collector/pkg/dockerproxy"
	"collector/pkg/logging"
)

// defaultProxySocket is where the proxy listens: the image has this directory.
const defaultProxySocket = "/run/docker-proxy/docker.sock"

// proxyFlags are the flags of `docker-proxy`.
type proxyFlags struct {
	listen, mode, host string
	group              int
	swarm              bool
}

func newProxyFlags() (*pflag.FlagSet, *proxyFlags) {
	set := pflag.NewFlagSet("docker-proxy", pflag.ContinueOnError)
	describe(set, "docker-proxy lets the read-only requests that a collector makes through to a Docker Engine, and rejects all others.")
	f := &proxyFlags{}
	set.StringVar(&f.listen, "listen", defaultProxySocket, "path of the Unix socket; one that an earlier run left is replaced")
	set.StringVar(&f.mode, "listen-mode", "0660", "mode of the socket")
	set.IntVar(&f.group, "listen-group", -1, "number of the group that owns the socket; the process's own by default")
	set.StringVar(&f.host, "docker-host", docker.DefaultHost, "where the Engine listens: unix://PATH or tcp://HOST:PORT")
	set.BoolVar(&f.swarm, "swarm", false, "also allow the lists of services, tasks and nodes, which a manager of a Docker Swarm has")
	return set, f
}

// socket is where the proxy listens.
func (f *proxyFlags) socket() (dockerproxy.Socket, error) {
	mode, err := strconv.ParseUint(f.mode, 8, 32)
	if err != nil || mode > 0o777 {
		return dockerproxy.Socket{}, fmt.Errorf("--listen-mode=%s: use an octal number such as 0660", f.mode)
	}
	return dockerproxy.Socket{Path: f.path(), Mode: fs.FileMode(mode), Group: f.group}, nil
}

func (f *proxyFlags) path() string { return strings.TrimPrefix(f.listen, "unix://") }

// dockerProxy is a proxy in front of a Docker Engine, until a signal comes.
func dockerProxy(args []string, errOut io.Writer) error {
	set, flags := newProxyFlags()
	set.SetOutput(errOut)
	if err := set.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w; `collector docker-proxy --help` lists the flags", err)
	}
	if set.NArg() > 0 {
		return fmt.Errorf("docker-proxy takes no arguments, only flags; got %s", strings.Join(set.Args(), ", "))
	}
	socket, err := flags.socket()
	if err != nil {
		return err
	}
	limitMemory()
	releaseStart()
	unblocked, flush := unblocked(errOut)
	defer flush()
	logger := logging.New(unblocked).Logger()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return serveDockerProxy(ctx, socket, flags, logger)
}

func serveDockerProxy(ctx context.Context, socket dockerproxy.Socket, flags *proxyFlags, logger *slog.Logger) error {
	proxy, err := dockerproxy.New(flags.host, dockerproxy.Filter{Swarm: flags.swarm}, userAgent()+" docker-proxy", logger)
	if err != nil {
		return fmt.Errorf("--docker-host: %w", err)
	}
	listener, err := socket.Listen()
	if err != nil {
		return err
	}
	logger.Info("docker-proxy is running", "version", version, "listen", socket.Path, "docker_host", flags.host)
	if err := proxy.Serve(ctx, listener); err != nil {
		return fmt.Errorf("serve %s: %w", socket.Path, err)
	}
	logger.Info("docker-proxy has stopped")
	return nil
}
