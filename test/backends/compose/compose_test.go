package compose

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

const deployDir = "../../../deploy"

// variants are the ways in which the stack is started, by name.
func variants() map[string][]string {
	return map[string][]string{
		"plain": {"compose.yaml"},
		"host":  {"compose.yaml", "compose.host.yaml"},
	}
}

// load reads Compose files as Compose does, which rejects what is not in the
// specification.
func load(t *testing.T, name string, env []string, files ...string) *types.Project {
	t.Helper()
	var paths []string
	for _, file := range files {
		paths = append(paths, filepath.Join(deployDir, file))
	}
	options, err := cli.NewProjectOptions(paths, cli.WithName(name), cli.WithEnv(env), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatalf("%s, project %s: %v", strings.Join(files, " + "), name, err)
	}
	return project
}

// exampleEnv is .env.example with every setting enabled, and a value if it has none.
func exampleEnv(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployDir, ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, m := range regexp.MustCompile(`(?m)^#([A-Z_]+)=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		if m[2] == "" {
			m[2] = "1234"
		}
		env = append(env, m[1]+"="+m[2])
	}
	return env
}

// everyWay calls check with the stack in each variant, for two projects, with
// and without a .env file.
func everyWay(t *testing.T, check func(t *testing.T, p *types.Project)) {
	for variant, files := range variants() {
		for _, name := range []string{"dev", "staging"} {
			for with, env := range map[string][]string{"without .env": nil, "with .env": exampleEnv(t)} {
				t.Run(strings.Join([]string{variant, name, with}, ", "), func(t *testing.T) {
					check(t, load(t, name, env, files...))
				})
			}
		}
	}
}

func TestVersions(t *testing.T) {
	want := map[string]string{
		"victoriametrics": "victoriametrics/victoria-metrics:v1.131.0",
		"vmalert":         "victoriametrics/vmalert:v1.131.0",
		"alertmanager":    "prom/alertmanager:v0.29.0",
		"loki":            "grafana/loki:3.5.9",
		"tempo":           "grafana/tempo:2.8.0",
		"pyroscope":       "grafana/pyroscope:1.17.0",
		"grafana":         "grafana/grafana:12.4.0",
	}
	everyWay(t, func(t *testing.T, p *types.Project) {
		for name, image := range want {
			if got := p.Services[name].Image; got != image {
				t.Errorf("%s is %q, want %q", name, got, image)
			}
		}
		for _, name := range []string{"backend", "collector"} {
			if build := p.Services[name].Build; build == nil {
				t.Errorf("%s is not built from the source", name)
			} else if _, err := os.Stat(filepath.Join(build.Context, build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestImagesAreBuiltOnce: services are built at the same time, and an Engine with the
// containerd image store rejects the second of two equal names.
func TestImagesAreBuiltOnce(t *testing.T) {
	everyWay(t, func(t *testing.T, p *types.Project) {
		builders := make(map[string]string)
		for name, service := range p.Services {
			if service.Build == nil {
				continue
			}
			if other := builders[service.Image]; other != "" {
				t.Errorf("%s and %s both build %s", name, other, service.Image)
			}
			builders[service.Image] = name
		}
	})
}

// TestDockerfilesHaveTheSource: building from source takes an image of Go, which is not
// available here. So at least it is checked that the builds get each directory that the
// programs need.
func TestDockerfilesHaveTheSource(t *testing.T) {
	root := filepath.Dir(deployDir)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for dockerfile, program := range map[string]string{"deploy/image/Dockerfile": "./cmd/collector", "backend/Dockerfile": "./backend"} {
		list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{$.ImportPath}}{{end}}{{end}}", program)
		list.Dir = root
		out, err := list.Output()
		if err != nil {
			t.Fatalf("list the packages of %s: %v", program, err)
		}
		for _, pkg := range strings.Fields(string(out)) {
			dir, _, _ := strings.Cut(strings.TrimPrefix(pkg, "collector/"), "/")
			if !strings.Contains(read(dockerfile), fmt.Sprintf("\nCOPY %s %s\n", dir, dir)) {
				t.Errorf("%s does not copy %s, which %s needs for %s", dockerfile, dir, program, pkg)
			}
			if !strings.Contains(read(".dockerignore"), fmt.Sprintf("\n!%s\n", dir)) {
				t.Errorf(".dockerignore excludes %s", dir)
			}
		}
	}
}

// TestProjectsShareNothing checks what two projects on one Engine could compete for.
func TestProjectsShareNothing(t *testing.T) {
	everyWay(t, func(t *testing.T, p *types.Project) {
		for name, service := range p.Services {
			if service.ContainerName != "" {
				t.Errorf("%s has the fixed name %q", name, service.ContainerName)
			}
			if service.Hostname != "" || service.NetworkMode == "host" || service.Pid == "host" {
				t.Errorf("%s shares a name or a namespace with the host", name)
			}
		}
		for name, volume := range p.Volumes {
			if bool(volume.External) || !strings.HasPrefix(volume.Name, p.Name+"_") {
				t.Errorf("volume %s is not the project's own: %q", name, volume.Name)
			}
		}
		for name, network := range p.Networks {
			if bool(network.External) || !strings.HasPrefix(network.Name, p.Name+"_") {
				t.Errorf("network %s is not the project's own: %q", name, network.Name)
			}
		}
	})
	collector := load(t, "staging", nil, "compose.yaml").Services["collector"]
	if got := collector.Environment["COLLECTOR_PROJECTS"]; got == nil || *got != "staging" {
		t.Errorf("the collector of staging is to collect %v", got)
	}
}

func published(p *types.Project) map[string]string {
	out := make(map[string]string)
	for name, service := range p.Services {
		for _, port := range service.Ports {
			out[name] = strings.TrimSpace(out[name] + fmt.Sprintf(" %s:%s->%d", port.HostIP, port.Published, port.Target))
		}
	}
	return out
}

func TestPorts(t *testing.T) {
	for env, want := range map[string]map[string]string{
		"": {"grafana": "127.0.0.1:3000->3000", "backend": "127.0.0.1:8000->8000", "collector": "127.0.0.1:12345->12345 127.0.0.1:12347->12347"},
		"GRAFANA_PORT=3001 BACKEND_PORT=8001 COLLECTOR_PORT=12346 FARO_PORT=12348 BIND_ADDRESS=0.0.0.0": {
			"grafana": "0.0.0.0:3001->3000", "backend": "0.0.0.0:8001->8000", "collector": "0.0.0.0:12346->12345 0.0.0.0:12348->12347"},
	} {
		got := published(load(t, "dev", strings.Fields(env), "compose.yaml"))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("with %q: published are %v, want %v", env, got, want)
		}
	}
}

// locked reports what gives a service more than a plain process has.
func locked(t *testing.T, name string, s types.ServiceConfig) {
	t.Helper()
	if user, _, _ := strings.Cut(s.User, ":"); user == "" || user == "0" || user == "root" {
		t.Errorf("the user of %s is %q", name, s.User)
	}
	if !s.ReadOnly || s.Privileged || len(s.CapAdd) > 0 || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("%s: read-only %v, privileged %v, capabilities +%v -%v, %v", name, s.ReadOnly, s.Privileged, s.CapAdd, s.CapDrop, s.SecurityOpt)
	}
	for _, v := range s.Volumes {
		if v.Type == "bind" && !v.ReadOnly {
			t.Errorf("%s may write to %s", name, v.Source)
		}
	}
}

// mounts are the targets of a service's mounts of a kind, bind or volume, with "rw"
// where it may write.
func mounts(s types.ServiceConfig, kind string) (targets []string) {
	for _, v := range s.Volumes {
		target := v.Target
		if !v.ReadOnly {
			target += " rw"
		}
		if v.Type == kind {
			targets = append(targets, target)
		}
	}
	slices.Sort(targets)
	return targets
}

// TestCollectorIsLockedIn: it sees nothing of Docker but the proxy's socket, and is
// in no group.
func TestCollectorIsLockedIn(t *testing.T) {
	everyWay(t, func(t *testing.T, p *types.Project) {
		c := p.Services["collector"]
		locked(t, "collector", c)
		if len(c.GroupAdd) > 0 {
			t.Errorf("it is in %d groups", len(c.GroupAdd))
		}
		if got := mounts(c, "volume"); !slices.Equal(got, []string{"/run/docker-proxy", "/var/lib/alloy/data rw"}) {
			t.Errorf("its volumes are %v", got)
		}
		if host := c.Environment["DOCKER_HOST"]; host == nil || *host != "unix:///run/docker-proxy/docker.sock" {
			t.Errorf("it asks %v", host)
		}
		if _, ok := c.DependsOn["docker-proxy"]; !ok {
			t.Error("it starts without docker-proxy")
		}
	})
}

// TestOnlyTheProxyHasDockersSocket: and nothing else of the host, no network, and a
// user of its own.
func TestOnlyTheProxyHasDockersSocket(t *testing.T) {
	everyWay(t, func(t *testing.T, p *types.Project) {
		for name, s := range p.Services {
			if has := slices.Contains(mounts(s, "bind"), "/var/run/docker.sock"); has != (name == "docker-proxy") {
				t.Errorf("%s has Docker's socket: %v", name, has)
			}
			if len(s.GroupAdd) > 0 != (name == "docker-proxy") {
				t.Errorf("%s is in %d groups", name, len(s.GroupAdd))
			}
		}
		proxy := p.Services["docker-proxy"]
		locked(t, "docker-proxy", proxy)
		if proxy.NetworkMode != "none" || len(proxy.Ports) > 0 || proxy.MemLimit == 0 {
			t.Errorf("network %q, ports %v, memory %d", proxy.NetworkMode, proxy.Ports, proxy.MemLimit)
		}
		if got := append(mounts(proxy, "bind"), mounts(proxy, "volume")...); !slices.Equal(got, []string{"/var/run/docker.sock", "/run/docker-proxy rw"}) {
			t.Errorf("its mounts are %v", got)
		}
		user, group, _ := strings.Cut(proxy.User, ":")
		theirs, theirGroup, _ := strings.Cut(p.Services["collector"].User, ":")
		if user == theirs || group != theirGroup {
			t.Errorf("it is user %s of group %s, and the collector is user %s of group %s", user, group, theirs, theirGroup)
		}
	})
}

func TestProxyIsInTheGroupOfTheSocket(t *testing.T) {
	groups := load(t, "dev", []string{"DOCKER_GID=1001"}, "compose.yaml").Services["docker-proxy"].GroupAdd
	for _, gid := range []int{0, 1, 100, 105, 133, 999, 1001} {
		if !slices.Contains(groups, fmt.Sprint(gid)) {
			t.Errorf("group %d is missing", gid)
		}
	}
	if len(groups) != 1001 {
		t.Errorf("it is in %d groups, want 0 to 999 and the one of DOCKER_GID", len(groups))
	}
}

// TestServicesAreKeptAlive checks restarts, logs and health checks.
func TestServicesAreKeptAlive(t *testing.T) {
	everyWay(t, func(t *testing.T, p *types.Project) {
		built := make(map[string]bool)
		for _, service := range p.Services {
			built[service.Image] = built[service.Image] || service.Build != nil
		}
		for name, service := range p.Services {
			if service.Logging == nil || service.Logging.Options["max-size"] == "" || service.Logging.Options["max-file"] == "" {
				t.Errorf("the log of %s grows without end", name)
			}
			if name == "probe" {
				continue // it ends
			}
			if service.Restart != "unless-stopped" {
				t.Errorf("%s: restart %q", name, service.Restart)
			}
			// What is built has one in its image.
			if service.HealthCheck == nil && !built[service.Image] {
				t.Errorf("%s has no health check", name)
			}
			if check := service.HealthCheck; check != nil && check.Test[0] != "CMD" {
				t.Errorf("the health check of %s takes a shell: %v", name, check.Test)
			}
		}
		for name, service := range p.Services {
			for on, how := range service.DependsOn {
				if how.Condition == types.ServiceConditionHealthy && p.Services[on].HealthCheck == nil {
					t.Errorf("%s waits for the health of %s, which has no check", name, on)
				}
			}
		}
	})
}

func TestProbeIsThereBeforeItIsUsed(t *testing.T) {
	everyWay(t, func(t *testing.T, p *types.Project) {
		for name, service := range p.Services {
			if service.HealthCheck == nil || !strings.HasPrefix(service.HealthCheck.Test[1], "/probe/") {
				continue
			}
			mounted := slices.ContainsFunc(service.Volumes, func(v types.ServiceVolumeConfig) bool {
				return v.Source == "probe" && v.Target == "/probe" && v.ReadOnly
			})
			if !mounted || service.DependsOn["probe"].Condition != types.ServiceConditionCompletedSuccessfully {
				t.Errorf("%s: mounted %v, waits for probe: %v", name, mounted, service.DependsOn["probe"].Condition)
			}
		}
	})
}

func TestEveryMountedFileIsThere(t *testing.T) {
	all := variants()
	all["drop-in"] = []string{"examples/alloy-drop-in/compose.yaml"}
	for _, files := range all {
		p := load(t, "dev", nil, files...)
		for name, service := range p.Services {
			for _, v := range service.Volumes {
				if v.Type != "bind" || v.Target == "/var/run/docker.sock" {
					continue
				}
				if entries, err := os.ReadDir(v.Source); err == nil && len(entries) == 0 {
					t.Errorf("%s mounts %s, which is empty", name, v.Source)
				}
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

// TestSettingsAreDocumented compares the variables in the Compose files with
// those in .env.example.
func TestSettingsAreDocumented(t *testing.T) {
	used := make(map[string]bool)
	for _, file := range []string{"compose.yaml", "compose.host.yaml"} {
		text, err := os.ReadFile(filepath.Join(deployDir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = true
		}
	}
	delete(used, "COMPOSE_PROJECT_NAME") // Compose sets it
	for _, setting := range exampleEnv(t) {
		name, _, _ := strings.Cut(setting, "=")
		if !used[name] {
			t.Errorf(".env.example has %s, which nothing uses", name)
		}
		delete(used, name)
	}
	for name := range used {
		t.Errorf(".env.example lacks %s", name)
	}
}

func TestConfigurationsAreYAML(t *testing.T) {
	for _, file := range []string{"loki/loki.yaml", "tempo/tempo.yaml", "pyroscope/pyroscope.yaml"} {
		text, err := os.ReadFile(filepath.Join(deployDir, file))
		if err != nil {
			t.Fatal(err)
		}
		var into map[string]any
		if err := yaml.Unmarshal(text, &into); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestDropIn checks that Alloy's image in the example runs with the same
// everything.
func TestDropIn(t *testing.T) {
	const file = "examples/alloy-drop-in/compose.yaml"
	ours := load(t, "dev", nil, file).Services["alloy"]
	alloys := load(t, "dev", []string{"ALLOY_IMAGE=grafana/alloy:v1.12.0"}, file).Services["alloy"]
	if ours.Image != "collector:latest" || alloys.Image != "grafana/alloy:v1.12.0" {
		t.Errorf("images are %q and %q", ours.Image, alloys.Image)
	}
	ours.Image, alloys.Image = "", ""
	if a, b := fmt.Sprintf("%+v", ours), fmt.Sprintf("%+v", alloys); a != b {
		t.Errorf("more than the image differs:\n%s\n%s", a, b)
	}
	if !slices.Contains(ours.Command, "/etc/alloy/config.alloy") {
		t.Errorf("the command is %v", ours.Command)
	}
}
