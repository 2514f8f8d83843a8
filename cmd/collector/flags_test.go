package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestFlagsOfAlloyAreAccepted(t *testing.T) {
	t.Setenv(listenVariable, "")
	set, f := newRunFlags()
	args := strings.Fields(`/etc/alloy/config.alloy --server.http.listen-addr=0.0.0.0:12345 --storage.path=/data --disable-reporting
		--stability.level=experimental --cluster.enabled=false --server.http.memory-addr=alloy.internal:12345 --server.http.ui-path-prefix=/x
		--server.http.enable-pprof=false --config.format=alloy --feature.community-components.enabled=true --cluster.wait-for-size=0
		--feature.component-shutdown-deadline=1m --server.http.disable-support-bundle --config.bypass-conversion-errors=true`)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := f.check(); err != nil {
		t.Fatal(err)
	}
	want := runFlags{listen: "0.0.0.0:12345", storage: "/data", format: &configFormat{kind: "alloy", bypass: true, set: set}, prefix: "/x", noSupport: true, set: set, exploreAge: 15 * time.Minute}
	if !reflect.DeepEqual(*f, want) || set.Arg(0) != "/etc/alloy/config.alloy" || set.NArg() != 1 {
		t.Errorf("got %+v %v, want %+v", *f, set.Args(), want)
	}
}

// Whoever reads --help finds the flags that do something, and below them the names of those
// that are only accepted.
func TestHelpSeparatesFlagsWithoutEffect(t *testing.T) {
	const heading = "\nAccepted for compatibility with Alloy, without effect:\n"
	set, _ := newRunFlags()
	effective, idle, found := strings.Cut(flagUsages(set), heading)
	if !found {
		t.Fatalf("no heading %q in:\n%s", heading, flagUsages(set))
	}
	names := strings.Fields(idle)
	for _, name := range []string{"--disable-reporting", "--stability.level", "--cluster.name", "--feature.component-shutdown-deadline"} {
		if strings.Contains(effective, name) || !slices.Contains(names, name) {
			t.Errorf("%s is not listed below the heading", name)
		}
	}
	set.VisitAll(func(f *pflag.Flag) {
		name := "--" + f.Name
		if listed := slices.Contains(names, name); listed != (f.Usage == "") || listed == strings.Contains(effective, name+" ") {
			t.Errorf("%s: described: %v, below the heading: %v", name, f.Usage != "", listed)
		}
	})
	if set, _ = newRunFlags(); set.Parse([]string{"--cluster.name=a", "--disable-reporting"}) != nil {
		t.Error("a flag without effect is not accepted")
	}
	if text := flagUsages(pflag.NewFlagSet("", pflag.ContinueOnError)); text != "" {
		t.Errorf("a command without flags has %q", text)
	}
}

func TestFlagsForMissingFeaturesAreRejected(t *testing.T) {
	for _, arg := range []string{"--config.format=static", "--config.format=otelcol"} {
		set, f := newRunFlags()
		if err := set.Parse([]string{arg}); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(arg, "=")
		if err := f.check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestTheFlagForClustersWarns(t *testing.T) {
	for args, want := range map[string]string{
		"": "", "--cluster.enabled=false": "", "--cluster.node-name=a --cluster.join-addresses=b:1": "",
		"--cluster.enabled --cluster.join-addresses=a:1,b:2 --cluster.rejoin-interval=1m --cluster.max-join-peers=3": "--cluster.enabled",
		"--cluster.enabled=true --cluster.advertise-interfaces=eth0 --cluster.wait-timeout=5s":                       "--cluster.enabled",
	} {
		set, f := newRunFlags()
		if err := set.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if err := f.check(); err != nil {
			t.Errorf("%s: %v", args, err)
		}
		var log strings.Builder
		f.warn(slog.New(slog.NewTextHandler(&log, nil)))
		if (want == "") != (log.String() == "") || !strings.Contains(log.String(), want) {
			t.Errorf("%s: the log is %q, want it to name %q", args, log.String(), want)
		}
	}
}

func TestTheImageListensOnAllInterfaces(t *testing.T) {
	t.Setenv(listenVariable, "0.0.0.0:12345")
	if _, f := newRunFlags(); f.listen != "0.0.0.0:12345" {
		t.Errorf("got %s", f.listen)
	}
}

func TestHealthcheckFindsTheAddress(t *testing.T) {
	t.Setenv(listenVariable, "")
	path := filepath.Join(t.TempDir(), "cmdline")
	for _, test := range []struct{ cmdline, want string }{
		{"/bin/collector\x00run\x00/etc/x\x00--server.http.listen-addr=0.0.0.0:99\x00", "127.0.0.1:99"},
		{"/bin/alloy\x00run\x00--server.http.listen-addr\x00[::]:98\x00", "127.0.0.1:98"},
		{"/bin/collector\x00run\x00", "127.0.0.1:12345"},
		{"/sbin/init\x00", "127.0.0.1:12345"},
		{"/sbin/docker-init\x00--\x00/bin/collector\x00run\x00--server.http.listen-addr=:97\x00", "127.0.0.1:97"},
		{"", "127.0.0.1:12345"},
	} {
		if err := os.WriteFile(path, []byte(test.cmdline), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := reachable(addressOfProcess1(path)); got != test.want {
			t.Errorf("%q: %s, want %s", test.cmdline, got, test.want)
		}
	}
}

func TestADestinationIsShownWithoutCredentials(t *testing.T) {
	for raw, want := range map[string]string{
		"http://vm:8428/api/v1/write":      "http://vm:8428/api/v1/write",
		"https://u:hunter2@vm/w?k=hunter2": "https://vm/w",
		"http://u:hun ter2@%zz/":           "http://%zz/",
		"tempo:4317":                       "tempo:4317",
		"10.0.0.1:4317":                    "10.0.0.1:4317",
	} {
		if got := withoutCredentials(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

func TestHealthcheckKnowsTLSAndPasswords(t *testing.T) {
	asked := ""
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		http.Error(w, "unauthorized", http.StatusUnauthorized)
	})
	for _, server := range []*httptest.Server{httptest.NewServer(handler), httptest.NewTLSServer(handler)} {
		var out strings.Builder
		err := healthcheck([]string{"--" + listenFlag, server.Listener.Addr().String()}, &out)
		if err != nil || asked != "/-/ready" || !strings.Contains(out.String(), "password") {
			t.Errorf("%v %q", err, out.String())
		}
		server.Close()
	}
}

func TestAnInvalidPrefixIsRejected(t *testing.T) {
	for prefix, want := range map[string]string{"/": "", "/ui/": "/ui"} {
		set, f := newRunFlags()
		if err := set.Parse([]string{"--" + prefixFlag, prefix}); err != nil || f.check() != nil || f.cleanPrefix() != want {
			t.Errorf("%s: %v %q", prefix, err, f.cleanPrefix())
		}
	}
	set, f := newRunFlags()
	if err := set.Parse([]string{"--" + prefixFlag, "/a b"}); err != nil {
		t.Fatal(err)
	}
	if err := f.check(); err == nil || !strings.Contains(err.Error(), prefixFlag) {
		t.Errorf("%v", err)
	}
}
