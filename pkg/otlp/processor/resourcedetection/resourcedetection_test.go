package resourcedetection

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/docker"
	"collector/pkg/docker/dockertest"
	"collector/pkg/inspect"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

func processor(t testing.TB, metrics prometheus.Registerer, change func(*Config)) *Processor {
	t.Helper()
	var c Config
	c.SetToDefault()
	change(&c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := New(c, component.Options{ID: "otelcol.processor.resourcedetection.x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	t.Setenv(variable, "a=b")
	otlptest.PassesOn(t, func(t *testing.T, to pipeline.OTLPSink) *Processor {
		return processor(t, nil, func(c *Config) { c.Output = flow.Output{Traces: []pipeline.OTLPSink{to}} })
	})
}

// finds is a detector that finds name=value, or fails with the error that the channel
// gives.
func finds(name, value string, errs <-chan error) detector {
	return detector{name, func(ctx context.Context) (found, error) {
		if errs != nil {
			select {
			case err := <-errs:
				if err != nil {
					return nothing(), err
				}
			case <-ctx.Done():
				return nothing(), ctx.Err()
			}
		}
		f := nothing()
		f.schema = "https://schema/" + value
		f.attributes.PutStr(name, value)
		f.attributes.PutStr("all", value)
		return f, nil
	}}
}

const resources = `{"resourceLogs":[{"resource":{"attributes":[{"key":"first","value":{"stringValue":"own"}}]},"scopeLogs":[{"scope":{},"logRecords":[{"body":{"stringValue":"x"}}]}]}]}`

func TestTheFirstDetectorWinsAndOverrideDecidesWhatStays(t *testing.T) {
	for override, want := range map[bool]string{true: "1", false: "own"} {
		var to otlptest.Sink
		p := processor(t, nil, func(c *Config) {
			c.Detectors, c.Override, c.Output = []string{"env", "system"}, override, otlptest.All(&to)
		})
		p.detectors = []detector{finds("first", "1", nil), finds("second", "2", nil)}
		otlptest.Run(t, p)
		for _, s := range flow.Signals() {
			text := map[pipeline.Signal]string{
				pipeline.SignalLogs:    resources,
				pipeline.SignalTraces:  strings.NewReplacer("Logs", "Spans", "logRecords", "spans", `"body":{"stringValue":"x"}`, `"name":"x"`).Replace(resources),
				pipeline.SignalMetrics: strings.NewReplacer("Logs", "Metrics", "logRecords", "metrics", `"body":{"stringValue":"x"}`, `"name":"x","gauge":{"dataPoints":[{"asInt":"1"}]}`).Replace(resources),
			}[s]
			if err := p.WriteOTLP(t.Context(), otlptest.JSON(t, s, text)); err != nil {
				t.Fatal(err)
			}
			got := otlptest.Text(t, to.Taken()[0])
			for _, part := range []string{
				`{"key":"first","value":{"stringValue":"` + want + `"}}`, `{"key":"second","value":{"stringValue":"2"}}`,
				`{"key":"all","value":{"stringValue":"1"}}`, `"schemaUrl":"https://schema/1"`,
			} {
				if !strings.Contains(got, part) {
					t.Errorf("%s, override = %v: there is no %s in %s", s, override, part, got)
				}
			}
		}
	}
}

func TestRequestsWaitForDetectorsForTheTimeoutAndTheyAreAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to otlptest.Sink
		metrics := prometheus.NewRegistry()
		p := processor(t, metrics, func(c *Config) {
			c.Detectors, c.Timeout, c.Output = []string{"env", "system"}, 3*time.Second, otlptest.All(&to)
		})
		slow := make(chan error)
		p.detectors = []detector{finds("first", "1", nil), finds("second", "2", slow)}
		otlptest.Run(t, p)
		write := func() string {
			t.Helper()
			if err := p.WriteOTLP(t.Context(), otlptest.JSON(t, pipeline.SignalLogs, resources)); err != nil {
				t.Fatal(err)
			}
			return otlptest.Text(t, to.Taken()[0])
		}
		began := time.Now()
		if text := write(); time.Since(began) != 3*time.Second || strings.Contains(text, "second") || !strings.Contains(text, `"stringValue":"1"`) {
			t.Errorf("after %v: %s", time.Since(began), text)
		}
		partial := inspect.Partial{}
		synctest.Wait()
		if err := p.Health(); !errors.As(err, &partial) || !strings.Contains(err.Error(), "second") {
			t.Errorf("health: %v", err)
		}
		slow <- errors.New("not now")
		slow <- nil
		synctest.Wait()
		if text := write(); !strings.Contains(text, "second") || p.Health() != nil {
			t.Errorf("after it was asked again: %s, health %v", text, p.Health())
		}
		if got := fmt.Sprint(p.Status()); !strings.Contains(got, "map[all:2 second:2]") {
			t.Errorf("status: %s", got)
		}
	})
}

func TestARequestThatNothingIsAddedToStaysBytes(t *testing.T) {
	t.Setenv(variable, "")
	var to otlptest.Sink
	p := processor(t, nil, func(c *Config) { c.Output = otlptest.All(&to) })
	otlptest.Run(t, p)
	if err := p.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs, Data: []byte{0xff}, Items: 1}); err != nil || len(to.Got()) != 1 {
		t.Errorf("%v, %d requests have arrived", err, len(to.Got()))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	waiting := processor(t, nil, func(c *Config) { c.Output = otlptest.All(&to) })
	if err := waiting.WriteOTLP(ended, pipeline.OTLP{Signal: pipeline.SignalLogs}); !errors.Is(err, context.Canceled) {
		t.Errorf("before Run: %v", err)
	}
}

func TestTheEnvironmentHoldsPairs(t *testing.T) {
	for text, want := range map[string]map[string]any{
		"":                               {},
		"a=b":                            {"a": "b"},
		" a = b , c=d%20e%2Cf ,":         {"a": "b", "c": "d e,f"},
		"deployment.environment=prod,x=": {"deployment.environment": "prod", "x": ""},
		"a=b=c":                          {"a": "b=c"},
		"a":                              nil,
		"=b":                             nil,
		"a=b,,c=d":                       nil,
		"a=%zz":                          nil,
		"a=ü":                            nil,
		"a=" + strings.Repeat("x", 257):  nil,
	} {
		for _, name := range []string{variable, oldVariable} {
			f, err := fromEnvironment(func(n string) string {
				if n == name {
					return text
				}
				return ""
			})
			switch {
			case want == nil && (err == nil || f.attributes.Len() > 0):
				t.Errorf("%q: %v, %v", text, f.attributes.AsRaw(), err)
			case want != nil && (err != nil || !cmp.Equal(f.attributes.AsRaw(), want)):
				t.Errorf("%q: %v, %v", text, f.attributes.AsRaw(), err)
			}
		}
	}
}

func FuzzTheEnvironment(f *testing.F) {
	for _, text := range []string{"a=b", "a=b,c=%20", ",", "=", "a=b,,"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found, err := fromEnvironment(func(string) string { return text })
		if err != nil && found.attributes.Len() > 0 {
			t.Errorf("%q: %v is found, and %v", text, found.attributes.AsRaw(), err)
		}
		for key := range found.attributes.All() {
			if key == "" || !strings.Contains(text, key) {
				t.Errorf("%q has no key %q", text, key)
			}
		}
	})
}

func TestTheEngineIsAskedAboutItsMachine(t *testing.T) {
	d := dockertest.New(t)
	t.Setenv("DOCKER_HOST", d.Host())
	for _, test := range []struct {
		want DockerAttributes
		text map[string]any
	}{
		{DockerAttributes{Toggle{true}, Toggle{true}}, map[string]any{"host.name": dockertest.HostName, "os.type": "linux"}},
		{DockerAttributes{Toggle{true}, Toggle{}}, map[string]any{"host.name": dockertest.HostName}},
		{DockerAttributes{Toggle{}, Toggle{true}}, map[string]any{"os.type": "linux"}},
	} {
		p := processor(t, nil, func(c *Config) { c.Detectors, c.Docker.ResourceAttributes = []string{"docker"}, test.want })
		f, err := p.detectors[0].detect(t.Context())
		if err != nil || !cmp.Equal(f.attributes.AsRaw(), test.text) {
			t.Errorf("%+v: %v, %v", test.want, f.attributes.AsRaw(), err)
		}
	}
	d.Refuse("/info", 403)
	e, err := docker.NewPool(nil).Engine(docker.Config{Host: d.Host()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Info(t.Context()); !docker.IsRefused(err) || !strings.Contains(err.Error(), "INFO=1") {
		t.Errorf("refused: %v", err)
	}
}

// machine is a system detector of a machine that is made up.
func machine(c System) *system {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	return &system{
		config: c,
		root: fstest.MapFS{
			"etc/os-release":             file("NAME=\"Some Linux\"\nID=debian\nVERSION_ID=\"12\"\nBUILD_ID=b7\n"),
			"etc/debian_version":         file("12.5\n"),
			"etc/hosts":                  file("# names\n127.0.0.1 localhost\n10.0.0.5 web.example web # us\n"),
			"proc/cpuinfo":               file("processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: A CPU\nstepping\t: 7\ncache size\t: 36608 KB\n\nprocessor\t: 1\nmodel\t: 99\n"),
			"proc/sys/kernel/osrelease":  file("6.1.0\n"),
			"etc/machine-id":             file("aabb\n"),
			"var/lib/dbus/machine-id":    file("ccdd\n"),
			"etc/unrelated/etc/hostname": file("x"),
		},
		hostname:  func() (string, error) { return "web", nil },
		cname:     func(context.Context, string) (string, error) { return "web.cname.example.", nil },
		addresses: func(context.Context, string) ([]string, error) { return []string{"10.0.0.5"}, nil },
		names:     func(context.Context, string) ([]string, error) { return []string{"web.lookup.example."}, nil },
		interfaces: func() ([]net.Interface, error) {
			return []net.Interface{
				{Name: "lo", Flags: net.FlagUp | net.FlagLoopback},
				{Name: "eth0", Flags: net.FlagUp, HardwareAddr: net.HardwareAddr{2, 0x42, 0xac, 0x11, 0, 2}},
				{Name: "tun0", Flags: net.FlagUp}, {Name: "down0", HardwareAddr: net.HardwareAddr{1}},
			}, nil
		},
	}
}

func TestEachAttributeOfTheSystemIsFoundWhenItIsWanted(t *testing.T) {
	on := Toggle{true}
	for name, test := range map[string]struct {
		want  SystemAttributes
		value any // nil: what the machine of the test says, which is not empty
	}{
		"host.cpu.cache.l2.size": {SystemAttributes{HostCPUCacheL2Size: on}, int64(36608)},
		"host.cpu.family":        {SystemAttributes{HostCPUFamily: on}, "6"},
		"host.cpu.model.id":      {SystemAttributes{HostCPUModelID: on}, "85"},
		"host.cpu.model.name":    {SystemAttributes{HostCPUModelName: on}, "A CPU"},
		"host.cpu.stepping":      {SystemAttributes{HostCPUStepping: on}, "7"},
		"host.cpu.vendor.id":     {SystemAttributes{HostCPUVendorID: on}, "GenuineIntel"},
		"host.arch":              {SystemAttributes{HostArch: on}, nil},
		"host.interface":         {SystemAttributes{HostInterface: on}, []any{"lo", "eth0", "tun0", "down0"}},
		"host.ip":                {SystemAttributes{HostIP: on}, []any{}},
		"host.mac":               {SystemAttributes{HostMAC: on}, []any{"02-42-AC-11-00-02"}},
		"host.name":              {SystemAttributes{HostName: on}, "web.example"},
		"os.build.id":            {SystemAttributes{OSBuildID: on}, "b7"},
		"os.description":         {SystemAttributes{OSDescription: on}, nil},
		"os.name":                {SystemAttributes{OSName: on}, "debian"},
		"os.type":                {SystemAttributes{OSType: on}, "linux"},
		"os.version":             {SystemAttributes{OSVersion: on}, "12.5"},
	} {
		f, err := machine(System{HostnameSources: []string{"dns"}, ResourceAttributes: test.want}).detect(t.Context())
		got := f.attributes.AsRaw()
		if err != nil || len(got) != 1 || test.value != nil && !cmp.Equal(got[name], test.value) || test.value == nil && (got[name] == "" || got[name] == nil) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if f, err := machine(System{}).detect(t.Context()); err != nil || f.attributes.Len() != 0 || f.schema != schema {
		t.Errorf("nothing is wanted: %v, %v", f.attributes.AsRaw(), err)
	}
	if _, err := os.Stat("/etc/machine-id"); err == nil {
		f, err := machine(System{ResourceAttributes: SystemAttributes{HostID: on}}).detect(t.Context())
		if v, _ := f.attributes.Get("host.id"); err != nil || v.Str() == "" {
			t.Errorf("host.id: %v, %v", f.attributes.AsRaw(), err)
		}
	}
	addresses, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(System{ResourceAttributes: SystemAttributes{HostIP: on}})
	f, err := s.detect(t.Context())
	if ips, _ := f.attributes.Get("host.ip"); err != nil || strings.Contains(ips.AsString(), "127.0.0.1") {
		t.Errorf("host.ip of %d interfaces: %v, %v", len(addresses), ips.AsString(), err)
	}
}

func TestTheNameOfTheHostComesFromTheFirstSourceThatHasOne(t *testing.T) {
	fails := errors.New("no such name")
	for _, test := range []struct {
		sources []string
		change  func(*system)
		want    string
	}{
		{[]string{"os"}, nil, "web"},
		{[]string{"dns"}, nil, "web.example"},
		{[]string{"dns"}, func(s *system) { s.root = fstest.MapFS{} }, "web.cname.example"},
		{[]string{"dns"}, func(s *system) {
			s.root = fstest.MapFS{}
			s.cname = func(context.Context, string) (string, error) { return "", fails }
		}, "web.lookup.example"},
		{[]string{"cname"}, nil, "web.cname.example"},
		{[]string{"lookup"}, nil, "web.lookup.example"},
		{[]string{"lookup", "os"}, func(s *system) {
			s.names = func(context.Context, string) ([]string, error) { return nil, fails }
		}, "web"},
		{[]string{"lookup", "cname"}, func(s *system) {
			s.addresses = func(context.Context, string) ([]string, error) { return nil, fails }
			s.cname = func(context.Context, string) (string, error) { return "", fails }
		}, ""},
		{nil, nil, "web.example"},
		{[]string{"os"}, func(s *system) { s.hostname = func() (string, error) { return "", fails } }, ""},
	} {
		s := machine(System{HostnameSources: test.sources})
		if test.change != nil {
			test.change(s)
		}
		if got, err := s.name(t.Context()); got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%v: %q, %v", test.sources, got, err)
		}
	}
}

func TestWhatIsNotKnownIsRejectedAtItsArgument(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`detectors 2: "moon" is not known`:           func(c *Config) { c.Detectors = []string{"env", "moon"} },
		"detectors 1: the detector ec2 is not":       func(c *Config) { c.Detectors = []string{"ec2"} },
		"detectors 2: env is listed twice":           func(c *Config) { c.Detectors = []string{"env", "env"} },
		"detectors: list at least one":               func(c *Config) { c.Detectors = nil },
		"timeout: ":                                  func(c *Config) { c.Timeout = 0 },
		"detectors 1: the detector kubernetes_node ": func(c *Config) { c.Detectors = []string{"kubernetes_node"} },
	} {
		otlptest.Says(t, want, change)
	}
	if err := (&System{HostnameSources: []string{"os", "file"}}).Validate(); err == nil || !strings.HasPrefix(err.Error(), "hostname_sources 2: ") {
		t.Errorf("got %v", err)
	}
}
