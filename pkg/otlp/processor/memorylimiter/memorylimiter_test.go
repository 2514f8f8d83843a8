package memorylimiter

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/inspect"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

func limiter(t testing.TB, metrics prometheus.Registerer, change func(*Config)) *Limiter {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.CheckInterval, c.Limit = time.Second, 1<<40
	change(&c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	l, err := New(c, component.Options{ID: "otelcol.processor.memory_limiter.x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	otlptest.PassesOn(t, func(t *testing.T, to pipeline.OTLPSink) *Limiter {
		return limiter(t, nil, func(c *Config) { c.Output = flow.Output{Traces: []pipeline.OTLPSink{to}} })
	})
}

func TestRequestsAreRejectedWhileMemoryIsAboveTheSoftLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to otlptest.Sink
		metrics := prometheus.NewRegistry()
		l := limiter(t, metrics, func(c *Config) {
			c.CheckInterval, c.Limit, c.SpikeLimit, c.Output = 2*time.Second, 100, 30, otlptest.All(&to)
		})
		var used, live, collections atomic.Uint64 // bytes, and those that are needed
		l.used = used.Load
		l.collect = func() { collections.Add(1); used.Store(min(used.Load(), live.Load())) }
		otlptest.Run(t, l)
		check := func(bytes, needed uint64, passes bool) {
			t.Helper()
			used.Store(bytes)
			live.Store(needed)
			time.Sleep(2 * time.Second) // of the bubble: until the next check
			synctest.Wait()
			err := l.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs, Data: []byte{}, Items: 3})
			if (err == nil) != passes || err != nil && (!errors.Is(err, pipeline.ErrOverload) || pipeline.IsPermanent(err)) {
				t.Errorf("%d of %d bytes: %v", bytes, needed, err)
			}
			if partial := (inspect.Partial{}); (l.Health() == nil) != passes || l.Health() != nil && !errors.As(l.Health(), &partial) {
				t.Errorf("%d of %d bytes: health: %v", bytes, needed, l.Health())
			}
		}
		check(70, 70, true)
		if collections.Load() != 0 {
			t.Error("garbage is collected below the soft limit")
		}
		check(71, 71, false)
		check(90, 71, false)
		time.Sleep(22 * time.Second)
		if err := l.Health(); err == nil || !strings.HasPrefix(err.Error(), "rejects requests for 2") || !strings.Contains(err.Error(), " s: the collector uses 0.0 MiB") {
			t.Errorf("health after a while: %v", err)
		}
		check(90, 20, true) // most of it is garbage
		check(500, 500, false)
		check(10, 10, true)
		if got := otlptest.Counter(t, metrics, "otelcol_processor_refused_log_records_total", "memory_limiter/otelcol.processor.memory_limiter.x"); got != 9 {
			t.Errorf("%v records are counted as refused", got)
		}
		if got := otlptest.Counter(t, metrics, "otelcol_processor_accepted_log_records_total", "memory_limiter/otelcol.processor.memory_limiter.x"); got != 9 || len(to.Got()) != 3 {
			t.Errorf("%v records are counted as accepted, %d requests have arrived", got, len(to.Got()))
		}
	})
}

func TestGarbageIsCollectedAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, nil, func(c *Config) { c.CheckInterval, c.Limit = 100*time.Millisecond, 100 })
		var collections atomic.Int64
		l.used = func() uint64 { return 1000 }
		l.collect = func() { collections.Add(1) }
		otlptest.Run(t, l)
		time.Sleep(3050 * time.Millisecond) // of the bubble
		synctest.Wait()
		if n := collections.Load(); n != 4 {
			t.Errorf("garbage was collected %d times in 3 s", n)
		}
	})
}

// The measure is the program's own memory: allocating makes the limiter reject requests,
// and freeing lets them pass.
func TestTheMemoryOfTheProgramIsMeasured(t *testing.T) {
	const size = 64 << 20
	runtime.GC()
	before := heap()
	l := limiter(t, nil, func(c *Config) { c.Limit = component.Bytes(before + size/2); c.SpikeLimit = component.Bytes(size / 4) })
	l.check(time.Now())
	if l.full.Load() != nil {
		t.Fatalf("rejected at %d bytes: %v", before, l.full.Load())
	}
	held := make([]byte, size)
	l.check(time.Now().Add(time.Hour))
	if l.full.Load() == nil {
		t.Errorf("%d bytes more, and requests pass", size)
	}
	runtime.KeepAlive(held)
	held = nil
	_ = held
	l.check(time.Now().Add(2 * time.Hour))
	if l.full.Load() != nil {
		t.Errorf("without them: %v", l.full.Load())
	}
}

func TestASignalWithoutAnOutputIsCountedAndBytesPassUndecoded(t *testing.T) {
	var to otlptest.Sink
	metrics := prometheus.NewRegistry()
	l := limiter(t, metrics, func(c *Config) { c.Output = flow.Output{Logs: []pipeline.OTLPSink{&to}} })
	l.full.Store(&refusal{})
	if err := l.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalTraces, Items: 2}); err != nil {
		t.Errorf("got %v", err)
	}
	if got := otlptest.Counter(t, metrics, "otelcol_processor_lost_items_total", "no_output"); got != 2 {
		t.Errorf("%v items are counted as lost", got)
	}
	l.full.Store(nil)
	if err := l.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs, Data: []byte{0xff}, Items: 1}); err != nil || pipeline.ReadsOTLP(l, pipeline.SignalLogs) {
		t.Errorf("a request is decoded: %v", err)
	}
}

func TestLimitsAreSizesOrSharesOfTheMemory(t *testing.T) {
	for want, c := range map[[2]uint64]Config{
		{80, 100}: {Limit: 100},
		{60, 100}: {Limit: 100, SpikeLimit: 40},
	} {
		if soft, hard, err := c.limits(); soft != want[0] || hard != want[1] || err != nil {
			t.Errorf("got %d, %d, %v, want %v", soft, hard, err, want)
		}
	}
	c := Config{LimitPercentage: 50, SpikeLimitPercentage: 20}
	if _, err := New(Config{CheckInterval: 1}, component.Options{}); err == nil || err.Error() != "set limit or limit_percentage" {
		t.Errorf("without a limit: %v", err)
	}
	soft, hard, err := c.limits()
	if err != nil || soft == 0 || hard*3/5 < soft-1000 || hard*3/5 > soft+1000 {
		t.Errorf("by percentage: %d, %d, %v", soft, hard, err)
	}
}

func TestTheMemoryIsTheSmallestGroups(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	machine := file("MemFree: 1 kB\nMemTotal:        1000 kB\n")
	for name, test := range map[string]struct {
		root fstest.MapFS
		want uint64
	}{
		"the machine":           {fstest.MapFS{"proc/meminfo": machine}, 1000 << 10},
		"no limit":              {fstest.MapFS{"proc/meminfo": machine, "sys/fs/cgroup/memory.max": file("max\n")}, 1000 << 10},
		"a container":           {fstest.MapFS{"proc/meminfo": machine, "sys/fs/cgroup/memory.max": file("4096\n")}, 4096},
		"a container, v1":       {fstest.MapFS{"proc/meminfo": machine, "sys/fs/cgroup/memory/memory.limit_in_bytes": file("8192\n")}, 8192},
		"v1 without a limit":    {fstest.MapFS{"proc/meminfo": machine, "sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n")}, 1000 << 10},
		"a unit in a slice":     {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/a.slice/b.service\n"), "sys/fs/cgroup/a.slice/memory.max": file("5000\n"), "sys/fs/cgroup/a.slice/b.service/memory.max": file("6000\n")}, 5000},
		"a unit in a slice, v1": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("5:cpu,memory:/b\n3:cpuset:/c\nx\n"), "sys/fs/cgroup/memory/b/memory.limit_in_bytes": file("7000")}, 7000},
	} {
		if got, err := totalMemory(test.root); got != test.want || err != nil {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for name, root := range map[string]fstest.MapFS{
		"nothing": {}, "no total": {"proc/meminfo": file("MemFree: 1 kB\n")}, "no number": {"proc/meminfo": file("MemTotal: x kB\n")},
	} {
		if got, err := totalMemory(root); err == nil {
			t.Errorf("%s: %d", name, got)
		}
	}
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	for _, test := range []struct {
		want string
		c    Config
	}{
		{"check_interval: ", Config{Limit: 1}},
		{"limit_percentage: set it or limit", Config{CheckInterval: 1, Limit: 1, LimitPercentage: 1}},
		{"spike_limit: ", Config{CheckInterval: 1, Limit: 5, SpikeLimit: 5}},
		{"spike_limit: ", Config{CheckInterval: 1, Limit: 5, SpikeLimit: -5}},
		{"limit: ", Config{CheckInterval: 1, Limit: -5}},
		{"limit_percentage: ", Config{CheckInterval: 1, LimitPercentage: 101, SpikeLimitPercentage: 1}},
		{"spike_limit_percentage: ", Config{CheckInterval: 1, LimitPercentage: 50}},
		{"spike_limit_percentage: ", Config{CheckInterval: 1, LimitPercentage: 50, SpikeLimitPercentage: 50}},
	} {
		if err := test.c.Validate(); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %q", test.c, err, test.want)
		}
	}
}
