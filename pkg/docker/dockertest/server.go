package dockertest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/storage"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/go-connections/nat"
)

var (
	versioned = regexp.MustCompile(`^/v(\d+\.\d+)(/.*)$`)
	// allowed is what a read-only proxy in front of the Engine lets through.
	named   = regexp.MustCompile(`^(/containers/)[^/]+(/json|/logs|/stats)$|^(/networks/)[^/]+$`)
	allowed = regexp.MustCompile(`^(/_ping|/version|/info|/events|/containers/json|/containers/[^/]+/json|/containers/[^/]+/logs|/containers/[^/]+/stats|/networks(/[^/]+)?)$`)
)

func (d *Daemon) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_ping", d.ping)
	mux.HandleFunc("GET /version", d.version)
	mux.HandleFunc("GET /info", d.info)
	mux.HandleFunc("GET /events", d.events)
	mux.HandleFunc("GET /containers/json", d.list)
	mux.HandleFunc("GET /containers/{id}/json", d.inspect)
	mux.HandleFunc("GET /containers/{id}/logs", d.logs)
	mux.HandleFunc("GET /containers/{id}/stats", d.usage)
	mux.HandleFunc("GET /networks", d.listNetworks)
	mux.HandleFunc("GET /networks/{id}", d.inspectNetwork)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		version := ""
		if m := versioned.FindStringSubmatch(r.URL.Path); m != nil {
			version, r.URL.Path = m[1], m[2]
			r.URL.RawPath = ""
		}
		if !d.admit(w, r, version) {
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// admit records a request, and answers it when it must not go through.
func (d *Daemon) admit(w http.ResponseWriter, r *http.Request, version string) bool {
	d.mu.Lock()
	d.requests = append(d.requests, Request{r.Method, r.URL.Path, version, r.URL.Query()})
	d.wake()
	lowest, highest := d.minAPI, d.maxAPI
	refusal, stopped := d.refusals[named.ReplaceAllString(r.URL.Path, "$1$3{id}$2")], d.stopped
	status, message := 0, ""
	for prefix, f := range d.failures {
		if strings.HasPrefix(r.URL.Path, prefix) {
			status, message = f.status, f.message
		}
	}
	d.mu.Unlock()

	switch {
	case r.Method != http.MethodGet || !allowed.MatchString(r.URL.Path):
		d.t.Errorf("dockertest: a read-only proxy would refuse %s %s", r.Method, r.URL.Path)
		fail(w, http.StatusForbidden, "forbidden")
	case refusal == Hang:
		select {
		case <-r.Context().Done():
		case <-stopped:
		}
	case refusal != 0:
		http.Error(w, "Request forbidden by administrative rules.", refusal)
	case status != 0:
		fail(w, status, "%s", message)
	case version != "" && versions.GreaterThan(version, highest):
		fail(w, http.StatusBadRequest, "client version %s is too new. Maximum supported API version is %s", version, highest)
	case version != "" && versions.LessThan(version, lowest):
		fail(w, http.StatusBadRequest, "client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version", version, lowest)
	default:
		return true
	}
	return false
}

func fail(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": fmt.Sprintf(format, args...)})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func (d *Daemon) ping(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	highest, podman := d.maxAPI, d.podman
	d.mu.Unlock()
	w.Header().Set("Api-Version", highest)
	if podman {
		w.Header().Set("Libpod-Api-Version", "5.0.0")
	}
	fmt.Fprint(w, "OK")
}

// SetPodman makes the Engine say that it is Podman, and behave like it: a log
// is answered when there is output, with times in whole seconds; the network of
// the host has no entry; and the list tells neither the network mode nor ports
// that are not published.
func (d *Daemon) SetPodman() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.podman = true
}

func (d *Daemon) version(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	answer(w, map[string]string{"Version": "99.0.0", "ApiVersion": d.maxAPI, "MinAPIVersion": d.minAPI})
}

func (d *Daemon) info(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]string{"Name": HostName, "OSType": "linux", "OperatingSystem": "Test OS"})
}

// HostName is what the Engine calls its host.
const HostName = "engine.example"

type filters map[string]map[string]bool

// parseFilters reads both forms of the parameter: {"name":{"value":true}} and
// {"name":["value"]}.
func parseFilters(q url.Values) filters {
	out := filters{}
	raw := map[string]json.RawMessage{}
	json.Unmarshal([]byte(q.Get("filters")), &raw)
	for name, r := range raw {
		values := map[string]bool{}
		var list []string
		if json.Unmarshal(r, &list) == nil {
			for _, v := range list {
				values[v] = true
			}
		} else {
			json.Unmarshal(r, &values)
		}
		out[name] = values
	}
	return out
}

func (f filters) any(name string, match func(string) bool) bool {
	for v := range f[name] {
		if match(v) {
			return true
		}
	}
	return len(f[name]) == 0
}

func (f filters) includes(s *state, networks map[string]Network) bool {
	for v := range f["label"] {
		key, value, has := strings.Cut(v, "=")
		if got, ok := s.Labels[key]; !ok || has && got != value {
			return false
		}
	}
	return f.any("status", func(v string) bool { return v == s.status }) &&
		f.any("id", func(v string) bool { return strings.HasPrefix(s.ID, v) }) &&
		f.any("ancestor", func(v string) bool { return v == s.Image }) &&
		f.any("name", func(v string) bool {
			ok, _ := regexp.MatchString(v, "/"+s.Name)
			plain, _ := regexp.MatchString(v, s.Name)
			return ok || plain
		}) &&
		f.any("network", func(v string) bool {
			for name := range s.Networks {
				if name == v || networks[name].ID == v {
					return true
				}
			}
			return false
		})
}

func (d *Daemon) list(w http.ResponseWriter, r *http.Request) {
	f := parseFilters(r.URL.Query())
	all := r.URL.Query().Get("all") == "1" || len(f["status"]) > 0
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []container.Summary{}
	for _, s := range d.containers {
		if !all && !s.running() || !f.includes(s, d.networks) {
			continue
		}
		c := container.Summary{
			ID: s.ID, Names: []string{"/" + s.Name}, Image: s.Image, Labels: s.Labels, State: s.status, Created: s.created.Unix(),
			Status: d.status(s), Ports: ports(s), NetworkSettings: &container.NetworkSettingsSummary{Networks: d.endpoints(s)},
		}
		if c.HostConfig.NetworkMode = s.NetworkMode; d.podman {
			c.HostConfig.NetworkMode = ""
			c.Ports = slices.DeleteFunc(c.Ports, func(p container.Port) bool { return p.PublicPort == 0 })
		}
		out = append(out, c)
	}
	answer(w, out)
}

func (d *Daemon) status(s *state) string {
	switch s.status {
	case "created":
		return "Created"
	case "exited":
		return fmt.Sprintf("Exited (%d) %d seconds ago", s.exitCode, int(time.Since(s.finished).Seconds()))
	}
	return "Up 5 seconds"
}

func ports(s *state) []container.Port {
	if !s.running() {
		return nil
	}
	var out []container.Port
	for _, p := range s.Ports {
		out = append(out, container.Port{IP: p.IP, PrivatePort: p.Private, PublicPort: p.Public, Type: p.protocol()})
	}
	return out
}

func (p Port) protocol() string {
	if p.Type == "" {
		return "tcp"
	}
	return p.Type
}

func (d *Daemon) endpoints(s *state) map[string]*network.EndpointSettings {
	out := map[string]*network.EndpointSettings{}
	for name, ip := range s.Networks {
		if d.podman && (name == "host" || name == "none") {
			continue
		}
		if !s.running() {
			ip = ""
		}
		settings := &network.EndpointSettings{NetworkID: d.networks[name].ID}
		if strings.Contains(ip, ":") {
			settings.GlobalIPv6Address = ip
		} else {
			settings.IPAddress = ip
		}
		out[name] = settings
	}
	return out
}

func (d *Daemon) inspect(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.containers[r.PathValue("id")]
	if s == nil {
		fail(w, http.StatusNotFound, "No such container: %s", r.PathValue("id"))
		return
	}
	portMap := nat.PortMap{}
	for _, p := range ports(s) {
		key := nat.Port(strconv.Itoa(int(p.PrivatePort)) + "/" + p.Type)
		bindings := portMap[key]
		if p.PublicPort != 0 {
			bindings = append(bindings, nat.PortBinding{HostIP: p.IP, HostPort: strconv.Itoa(int(p.PublicPort))})
		}
		portMap[key] = bindings // also where there are none
	}
	settings := &container.NetworkSettings{Networks: d.endpoints(s)}
	settings.Ports = portMap
	answer(w, container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: s.ID, Name: "/" + s.Name, Created: s.created.Format(time.RFC3339Nano), RestartCount: s.RestartCount, LogPath: s.LogPath,
			State: &container.State{
				Status: s.status, Running: s.running(), Paused: s.status == "paused", ExitCode: s.exitCode, Pid: s.pid(),
				StartedAt: s.started.UTC().Format(time.RFC3339Nano), FinishedAt: s.finished.UTC().Format(time.RFC3339Nano),
			},
			HostConfig: &container.HostConfig{
				NetworkMode:   container.NetworkMode(s.NetworkMode),
				LogConfig:     container.LogConfig{Type: s.LogDriver},
				RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(s.RestartPolicy)},
				Resources:     container.Resources{Memory: s.Memory, CPUQuota: s.CPUQuota},
			},
			GraphDriver: storage.DriverData{Name: "overlay2", Data: map[string]string{"UpperDir": s.UpperDir}},
		},
		Config:          &container.Config{Tty: s.TTY, Labels: s.Labels, Image: s.Image, Env: s.Env},
		NetworkSettings: settings,
	})
}

// usage answers what the test has written.
func (d *Daemon) usage(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.containers[r.PathValue("id")]
	if s == nil {
		fail(w, http.StatusNotFound, "No such container: %s", r.PathValue("id"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, cmp.Or(s.Usage, "{}"))
}

func (n Network) summary() network.Summary {
	return network.Summary{ID: n.ID, Name: n.Name, Scope: n.Scope, Internal: n.Internal, Ingress: n.Ingress, Labels: n.Labels}
}

func (d *Daemon) listNetworks(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []network.Summary{}
	for _, n := range d.networks {
		out = append(out, n.summary())
	}
	answer(w, out)
}

func (d *Daemon) inspectNetwork(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.networks {
		if n.ID == r.PathValue("id") || n.Name == r.PathValue("id") {
			answer(w, n.summary())
			return
		}
	}
	fail(w, http.StatusNotFound, "network %s not found", r.PathValue("id"))
}
