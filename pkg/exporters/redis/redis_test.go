package redis

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	library "github.com/oliver006/redis_exporter/exporter"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"collector/pkg/cause/causetest"
	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/exporters/exporter"
)

// closed is an address at which nobody listens.
// testdata/alloy.txt lists the metrics that Alloy 1.12 gave without a server.
func TestWithoutAServerThePageMatchesAlloys(t *testing.T) {
	recorded, err := os.ReadFile("testdata/alloy.txt")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(recorded)) {
		if !strings.HasPrefix(line, "#") {
			want = append(want, strings.TrimSpace(line))
		}
	}
	address := causetest.Refusing(t)
	r := exported(t, fmt.Sprintf("redis_addr = %q", address))
	code, page := r.page()
	if code != 200 || !has(page, "redis_up 0") || !has(page, `redis_exporter_last_scrape_error{err="dial tcp `+address) {
		t.Errorf("%d %s", code, strings.Join(page, "\n"))
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(strings.Join(page, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, f := range families {
		var labels []string
		for _, label := range f.Metric[0].Label {
			labels = append(labels, label.GetName())
		}
		parts := []string{""}
		if f.GetType().String() == "SUMMARY" {
			parts = []string{"_count", "_sum"}
		}
		for _, part := range parts {
			got = append(got, fmt.Sprintf("%s%s{%s} %s", name, part, strings.Join(labels, ","), strings.ToLower(f.GetType().String())))
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-Alloy's +ours) %s", diff)
	}
	targets, _ := r.Exports()["targets"].(*discovery.Set).Targets()
	if got := targets[0].Map(); got["instance"] != address || got["job"] != "integrations/redis" {
		t.Errorf("the target is %v", got)
	}
}

func TestAServerThatIsDownIsShown(t *testing.T) {
	s := newServer(t)
	s.answer = func(string) string { return "-LOADING in progress\r\n" }
	r := exported(t, fmt.Sprintf("redis_addr = %q", s.address))
	if err := r.Health(); err != nil {
		t.Errorf("before the first scrape: %v", err)
	}
	r.page()
	if err := r.Health(); err == nil || !strings.Contains(err.Error(), s.address+": LOADING") {
		t.Errorf("its health is %v", err)
	}
	if status := r.Status().(exporter.ServerStatus); status.Address != s.address || status.LastScrape.IsZero() || status.Error == "" {
		t.Errorf("%+v", status)
	}
	s.mu.Lock()
	s.answer = nil
	s.mu.Unlock()
	if _, page := r.page(); !has(page, "redis_up 1") || r.Health() != nil {
		t.Errorf("afterwards: %v\n%s", r.Health(), strings.Join(page, "\n"))
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]address{
		"redis:6379":                     {text: "redis:6379", dial: "redis:6379"},
		"redis":                          {text: "redis", dial: "redis"},
		"redis://redis:6379":             {text: "redis://redis:6379", dial: "redis:6379"},
		"redis://redis:6379/2":           {text: "redis://redis:6379/2", dial: "redis://redis:6379/2"},
		"rediss://redis:6379":            {text: "rediss://redis:6379", dial: "rediss://redis:6379"},
		"valkey://redis:6379":            {text: "valkey://redis:6379", dial: "valkey://redis:6379"},
		"unix:///run/redis.sock":         {text: "unix:///run/redis.sock", dial: "unix:///run/redis.sock"},
		"[fe80::1%eth0]:6379":            {text: "[fe80::1%eth0]:6379", dial: "[fe80::1%eth0]:6379"},
		"redis://me:s%40cret@redis:6379": {text: "redis://redis:6379", dial: "redis:6379", user: "me", password: "s@cret", hasPassword: true},
		"redis://:secret@redis:6379/2":   {text: "redis://redis:6379/2", dial: "redis://redis:6379/2", password: "secret", hasPassword: true},
		"rediss://secret@redis:6379":     {text: "rediss://redis:6379", dial: "rediss://redis:6379", password: "secret", hasPassword: true},
		"me:secret@redis:6379":           {text: "redis:6379", dial: "redis:6379", user: "me", password: "secret", hasPassword: true},
	} {
		got, err := parseAddress(text)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(address{})); diff != "" || err != nil {
			t.Errorf("%s: %v %s", text, err, diff)
		}
	}
}

func FuzzAPasswordIsInNoAddress(f *testing.F) {
	f.Add("redis://", "me", "secret", "@redis:6379")
	f.Add("", "", "s%zz", "@[::1]:1")
	f.Fuzz(func(t *testing.T, scheme, user, rest, host string) {
		const secret = "hunter2hunter2"
		a, err := parseAddress(scheme + user + ":" + secret + rest + "@" + host)
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error has it: %v", err)
		}
		if err == nil && a.hasPassword && strings.Contains(a.password, secret) && strings.Contains(a.text+a.dial, secret) {
			t.Errorf("%+v", a)
		}
	})
}

// A password in the address, or in a file, is sent and shown nowhere.
func TestPasswordsAreSentAndShownNowhere(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := newServer(t)
	s.answer = func(command string) string {
		if strings.HasPrefix(command, "AUTH") {
			return "-WRONGPASS invalid password\r\n"
		}
		return ""
	}
	list, _ := json.Marshal(map[string]string{"redis://" + s.address: "hunter2", "redis://me@" + s.address: "hunter3"})
	passwords := write("map.json", string(list))
	for settings, want := range map[string]string{
		fmt.Sprintf("redis_addr = %q", "redis://me:hunter2@"+s.address):                                                             "AUTH me hunter2",
		fmt.Sprintf("redis_addr = %q", "hunter2@"+s.address):                                                                        "AUTH hunter2",
		fmt.Sprintf("redis_addr = %q\nredis_user = \"me\"\nredis_password = \"hunter2\"", s.address):                                "AUTH me hunter2",
		fmt.Sprintf("redis_addr = %q\nredis_password = \"other\"\nredis_password_file = %q", s.address, write("file", "hunter2\n")): "AUTH hunter2",
		fmt.Sprintf("redis_addr = %q\nredis_password = \"other\"\nredis_password_map_file = %q", s.address, passwords):              "AUTH hunter2",
		fmt.Sprintf("redis_addr = %q\nredis_user = \"me\"\nredis_password_map_file = %q", s.address, passwords):                     "AUTH me hunter3",
		fmt.Sprintf("redis_addr = %q\nredis_password_map_file = %q", "redis://me:hunter4@"+s.address, passwords):                    "AUTH me hunter4",
	} {
		r := exported(t, settings)
		s.commands()
		code, page := r.page()
		if sent := s.commands(); len(sent) == 0 || sent[0] != want {
			t.Errorf("%s: %q was sent, want %s", settings, sent, want)
		}
		if code != 200 || !has(page, "redis_up 0") || !has(page, `redis_exporter_last_scrape_error{err="WRONGPASS invalid password"} 1`) {
			t.Errorf("%s: %d %s", settings, code, strings.Join(page, "\n"))
		}
		targets, _ := r.Exports()["targets"].(*discovery.Set).Targets()
		if shown := fmt.Sprint(page, targets, r.Status(), r.Health()); strings.Contains(shown, "hunter") {
			t.Errorf("%s: it is shown: %s", settings, shown)
		}
	}
}

func TestSettingsAreWhatTheServerIsAsked(t *testing.T) {
	s := newServer(t)
	for settings, want := range map[string]string{
		"":                              "CLIENT SETNAME redis_exporter",
		"\n":                            "CONFIG GET *",
		"ping_on_connect = true":        "PING",
		`config_command = "c0nfig"`:     "c0nfig GET *",
		"is_tile38 = true":              "SERVER EXT",
		"export_client_list = true":     "CLIENT LIST",
		`check_keys = ["a*", "db3=b*"]`: "SCAN 0 MATCH b* COUNT 10000",
		"check_keys = [\"a*\"]\ncheck_key_groups_batch_size = 7": "SCAN 0 MATCH a* COUNT 7",
		`check_single_keys = ["one,two"]`:                        "TYPE two",
		`check_streams = ["s*"]`:                                 "SCAN 0 MATCH s* COUNT 10000",
		`check_single_streams = ["one"]`:                         "XINFO STREAM one",
		`count_keys = ["c*"]`:                                    "SCAN 0 MATCH c* COUNT 10000",
	} {
		exported(t, fmt.Sprintf("redis_addr = %q\n%s", s.address, settings)).page()
		if sent := s.commands(); !slices.Contains(sent, want) {
			t.Errorf("%q: no %s in %q", settings, want, sent)
		}
	}
	exported(t, fmt.Sprintf("redis_addr = %q\nset_client_name = false\nconfig_command = \"-\"", s.address)).page()
	if sent := s.commands(); slices.ContainsFunc(sent, func(c string) bool { return strings.HasPrefix(c, "C") || strings.HasPrefix(c, "-") }) {
		t.Errorf("without a name and CONFIG: %q", sent)
	}
}

func TestAServerThatDoesNotAnswerIsLeftAfterTheTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // connections wait to be accepted
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	code, page := exported(t, fmt.Sprintf("redis_addr = %q\nconnection_timeout = \"10ms\"", l.Addr())).page()
	if code != 200 || !has(page, "redis_up 0") || has(page, `redis_exporter_last_scrape_error{err=""}`) {
		t.Errorf("%d %s", code, strings.Join(page, "\n"))
	}
}

// The library panics at a buffer limit with too few numbers.
func TestAnAnswerThatMakesTheLibraryPanicFailsTheScrapeOnly(t *testing.T) {
	s := newServer(t)
	s.answer = func(command string) string {
		if strings.HasPrefix(command, "CONFIG") {
			return "*2\r\n" + bulk("client-output-buffer-limit") + bulk("normal 0")
		}
		return ""
	}
	r := exported(t, fmt.Sprintf("redis_addr = %q", s.address))
	if code, page := r.page(); code != 500 || !has(page, "BUG: panic") {
		t.Errorf("%d %s", code, page)
	}
	if r.Health() == nil {
		t.Error("it is healthy")
	}
	s.mu.Lock()
	s.answer = nil
	s.mu.Unlock()
	if code, page := r.page(); code != 200 || !has(page, "redis_up 1") || r.Health() != nil {
		t.Errorf("afterwards: %d %v", code, page)
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(`["hunter2"]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for settings, want := range map[string]string{
		"redis_addr = \"a:1\"\ncheck_keys = [\"a=b=c\"]":             "check_keys",
		"redis_addr = \"a:1\"\ncheck_single_keys = [\"a\", \"x=b\"]": "check_single_keys",
		"redis_addr = \"a:1\"\ncheck_streams = [\"db-1=a\"]":         "check_streams",
		"redis_addr = \"a:1\"\ncheck_single_streams = [\"%zz\"]":     "check_single_streams",
		"redis_addr = \"a:1\"\ncount_keys = [\"db1=a,dbx=a\"]":       "count_keys",
		`redis_addr = ""`: "redis_addr",
		`redis_addr = "redis://me:hunter2%zz@redis:6379"`:                                    "redis_addr",
		"redis_addr = \"a:1\"\nscript_path = \"a\"\nscript_paths = [\"b\"]":                  "script_paths",
		"redis_addr = \"a:1\"\nscript_path = \"/nowhere\"":                                   "script_path",
		"redis_addr = \"a:1\"\nscript_paths = [\"/nowhere\"]":                                "script_paths",
		"redis_addr = \"a:1\"\ntls_client_key_file = \"a\"":                                  "tls_client_cert_file",
		"redis_addr = \"a:1\"\ntls_client_cert_file = \"a\"":                                 "tls_client_key_file",
		"redis_addr = \"a:1\"\nredis_password_file = \"a\"\nredis_password_map_file = \"b\"": "redis_password_map_file",
		"redis_addr = \"a:1\"\nredis_password_file = \"/nowhere\"":                           "redis_password_file",
		"redis_addr = \"a:1\"\nredis_password_map_file = \"/nowhere\"":                       "redis_password_map_file",
		fmt.Sprintf("redis_addr = \"a:1\"\nredis_password_map_file = %q", file):              "redis_password_map_file",
		"redis_addr = \"a:1\"\nmax_distinct_key_groups = -1":                                 "max_distinct_key_groups",
		"redis_addr = \"a:1\"\nnamespace = \"a b\"\ninclude_exporter_metrics = \"no\"":       "include_exporter_metrics",
	} {
		if _, err := makeExporter(settings); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

func TestASettingWithoutEffectIsNamed(t *testing.T) {
	var cfg Config
	cfg.SetToDefault()
	cfg.RedisAddr, cfg.RedisMetricsOnly = "a:1", true
	named := ""
	if _, err := New(cfg, component.Options{ID: "prometheus.exporter.redis.x", Warn: func(argument, _ string) { named += argument }}); err != nil || named != "redis_metrics_only" {
		t.Errorf("%q, %v", named, err)
	}
}

// The library, and so Alloy, accepts the same keys.
func FuzzKeysMatchTheLibrarys(f *testing.F) {
	for _, key := range []string{"a*", "db1=a", "2=a", "a=b=c", "dbx=a", "db-1=a", "%zz", "a,b", "=", "db1=", " db3 = a%2C "} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		valid := true
		for part := range strings.SplitSeq(key, ",") {
			valid = valid && validKey(part)
		}
		if _, err := library.NewRedisExporter("a:1", library.Options{Namespace: "redis", CheckKeys: key}); valid != (err == nil) {
			t.Errorf("%q: %v, and the library says: %v", key, valid, err)
		}
	})
}
