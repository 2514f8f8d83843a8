package promtail

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Flags are a command line of Promtail's.
type Flags struct {
	Options Options

	File        string // the first of -config.file that exists
	Version     bool   // print it, and stop
	CheckSyntax bool   // check the file, and stop
	PrintConfig bool   // to standard error
	LogConfig   bool
}

// settings are the flags that set what the file may set, and where in the file.
var settings = []struct{ flag, path string }{
	{"client.url", "client/url"},
	{"client.batch-wait", "client/batchwait"},
	{"client.batch-size-bytes", "client/batchsize"},
	{"client.max-retries", "client/backoff_config/max_retries"},
	{"client.min-backoff", "client/backoff_config/min_period"},
	{"client.max-backoff", "client/backoff_config/max_period"},
	{"client.timeout", "client/timeout"},
	{"client.tenant-id", "client/tenant_id"},
	{"file-watch.min_poll_frequency", "global/file_watch_config/min_poll_frequency"},
	{"file-watch.max_poll_frequency", "global/file_watch_config/max_poll_frequency"},
	{"limit.readline-rate", "limits_config/readline_rate"},
	{"limit.readline-burst", "limits_config/readline_burst"},
	{"max-line-size", "limits_config/max_line_size"},
	{"max-streams", "limits_config/max_streams"},
	{"log.level", "server/log_level"},
	{"log.format", "server/log_format"},
	{"positions.file", "positions/filename"},
	{"positions.sync-period", "positions/sync_period"},
	{"server.http-listen-address", "server/http_listen_address"},
	{"server.http-listen-port", "server/http_listen_port"},
	{"server.path-prefix", "server/http_path_prefix"},
	{"server.http-tls-cert-path", "server/http_tls_config/cert_file"},
	{"server.http-tls-key-path", "server/http_tls_config/key_file"},
	{"server.http-tls-client-auth", "server/http_tls_config/client_auth_type"},
	{"server.http-tls-ca-path", "server/http_tls_config/client_ca_file"},
	{"target.sync-period", "target_config/sync_period"},
}

// switchSettings are those that are true or false.
var switchSettings = []struct{ flag, path string }{
	{"client.drop-rate-limited-batches", "client/drop_rate_limited_batches"},
	{"limit.readline-rate-enabled", "limits_config/readline_rate_enabled"},
	{"limit.readline-rate-drop", "limits_config/readline_rate_drop"},
	{"max-line-size-truncate", "limits_config/max_line_size_truncate"},
	{"positions.ignore-invalid-yaml", "positions/ignore_invalid_yaml"},
	{"server.disable", "server/disable"},
	{"server.profiling_enabled", "server/profiling_enabled"},
	{"server.enable-runtime-reload", "server/enable_runtime_reload"},
	{"stdin", "target_config/stdin"},
	{"tracing.enabled", "tracing/enabled"},
}

// idleFlags are those that have nothing to act on here.
var idleFlags = []string{
	"server.grpc-conn-limit", "server.grpc-listen-address", "server.grpc-listen-network", "server.grpc-listen-port",
	"server.grpc-max-concurrent-streams", "server.grpc-max-recv-msg-size-bytes", "server.grpc-max-send-msg-size-bytes",
	"server.grpc-tls-ca-path", "server.grpc-tls-cert-path", "server.grpc-tls-client-auth", "server.grpc-tls-key-path",
	"server.grpc.keepalive.max-connection-age", "server.grpc.keepalive.max-connection-age-grace", "server.grpc.keepalive.max-connection-idle",
	"server.grpc.keepalive.min-time-between-pings", "server.grpc.keepalive.time", "server.grpc.keepalive.timeout", "server.grpc.num-workers",
	"server.graceful-shutdown-timeout", "server.http-conn-limit", "server.http-idle-timeout", "server.http-listen-network",
	"server.http-read-header-timeout", "server.http-read-timeout", "server.http-write-timeout",
	"server.log-request-headers-exclude-list", "server.log-source-ips-header", "server.log-source-ips-regex", "server.tls-cipher-suites", "server.tls-min-version",
}

var idleSwitches = []string{
	"server.grpc.keepalive.ping-without-stream-allowed", "server.log-request-at-info-level-enabled", "server.log-request-headers",
	"server.log-source-ips-enabled", "server.log-source-ips-full", "server.proxy-protocol-enabled", "server.register-instrumentation",
	"server.http-log-closed-connections-without-response-enabled",
}

// textFlag is a flag whose value becomes a setting.
type textFlag struct {
	add func(value string)
	is  bool // true or false
}

func (f *textFlag) String() string { return "" }

func (f *textFlag) Set(value string) error {
	if _, ok := switches[strings.ToLower(value)]; f.is && !ok {
		return fmt.Errorf("it must be true or false")
	}
	f.add(value)
	return nil
}

func (f *textFlag) IsBoolFlag() bool { return f.is }

// IsCommandLine reports whether the arguments of a program are Promtail's: without
// the name of a command, and with a flag that only Promtail has.
func IsCommandLine(args []string) bool {
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") {
		return false
	}
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && (name == "config.file" || name == "client.url" || name == "positions.file") {
			return true
		}
	}
	return false
}

// ParseFlags reads Promtail's command line. Messages and help go to out.
func ParseFlags(args []string, out io.Writer) (*Flags, error) {
	f := &Flags{}
	set := flag.NewFlagSet("promtail", flag.ContinueOnError)
	set.SetOutput(out)
	files := set.String("config.file", "", "the configuration: Promtail's YAML file; of several, separated by commas, the first that exists")
	set.BoolVar(&f.Options.ExpandEnv, "config.expand-env", false, "replace ${NAME} in the file by environment variables")
	set.BoolVar(&f.Version, "version", false, "print the version")
	set.BoolVar(&f.CheckSyntax, "check-syntax", false, "check the file, and stop")
	set.BoolVar(&f.PrintConfig, "print-config-stderr", false, "print what was made of the file to standard error")
	set.BoolVar(&f.LogConfig, "log-config-reverse-order", false, "log what was made of the file, the last line first")
	set.BoolVar(&f.Options.DryRun, "dry-run", false, "log entries instead of sending them, and keep no positions")
	set.Bool("inspect", false, "accepted: the UI always shows what each stage does")
	f.declare(set)
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a flag; Promtail's command line has flags only", set.Arg(0))
	}
	f.File = firstFile(*files)
	return f, nil
}

// declare declares the flags that become settings, and those without effect.
func (f *Flags) declare(set *flag.FlagSet) {
	add := func(name, path string, is bool) {
		steps := strings.Split(path, "/")
		set.Var(&textFlag{is: is, add: func(value string) {
			n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, HeadComment: "-" + name}
			f.Options.Settings = append(f.Options.Settings, setting{name, steps, n})
		}}, name, "sets "+strings.Join(steps, " > ")+" of the file")
	}
	for _, s := range settings {
		add(s.flag, s.path, false)
	}
	for _, s := range switchSettings {
		add(s.flag, s.path, true)
	}
	set.Func("client.external-labels", "labels for all entries, such as a=b,c=d", func(value string) error {
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for pair := range strings.SplitSeq(value, ",") {
			name, value, ok := strings.Cut(pair, "=")
			if !ok {
				return fmt.Errorf("%q is not a label with a value, such as a=b", pair)
			}
			for _, text := range []string{name, value} {
				n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.TrimSpace(text)})
			}
		}
		f.Options.Settings = append(f.Options.Settings, setting{"client.external-labels", []string{"client", "external_labels"}, n})
		return nil
	})
	for _, name := range idleFlags {
		set.Var(&textFlag{add: func(string) {}}, name, "accepted; has no effect")
	}
	for _, name := range idleSwitches {
		set.Var(&textFlag{is: true, add: func(string) {}}, name, "accepted; has no effect")
	}
}

// firstFile is the first of the files that exists, or the first.
func firstFile(names string) string {
	first := ""
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		if first == "" {
			first = name
		}
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	return first
}
