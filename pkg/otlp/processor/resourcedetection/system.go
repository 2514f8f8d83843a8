package resourcedetection

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// system is the detector system: what the machine, or the container, says about itself.
type system struct {
	config     System
	root       fs.FS
	hostname   func() (string, error)
	cname      func(context.Context, string) (string, error)
	addresses  func(context.Context, string) ([]string, error)
	names      func(context.Context, string) ([]string, error)
	interfaces func() ([]net.Interface, error)
}

func newSystem(c System) *system {
	return &system{
		config: c, root: os.DirFS("/"), hostname: os.Hostname, interfaces: net.Interfaces,
		cname: net.DefaultResolver.LookupCNAME, addresses: net.DefaultResolver.LookupHost, names: net.DefaultResolver.LookupAddr,
	}
}

// detect finds the attributes that are enabled. A missing one does not affect the others,
// except for the name of the host.
func (s *system) detect(ctx context.Context) (found, error) {
	f := nothing()
	f.schema = schema
	want := s.config.ResourceAttributes
	if want.HostName.Enabled {
		name, err := s.name(ctx)
		if err != nil {
			return nothing(), err
		}
		f.attributes.PutStr("host.name", name)
	}
	text := func(t Toggle, name string, value func() string) {
		if !t.Enabled {
			return
		}
		if v := value(); v != "" {
			f.attributes.PutStr(name, v)
		}
	}
	list := func(t Toggle, name string, of func(net.Interface) []string) {
		if !t.Enabled {
			return
		}
		values := f.attributes.PutEmptySlice(name)
		for _, v := range s.eachInterface(of) {
			values.AppendEmpty().SetStr(v)
		}
	}
	text(want.OSType, "os.type", func() string { return osType(runtime.GOOS) })
	text(want.OSName, "os.name", func() string { return s.release("ID") })
	text(want.OSVersion, "os.version", s.version)
	text(want.OSBuildID, "os.build.id", s.build)
	text(want.OSDescription, "os.description", func() string { return fromSDK(ctx, resource.WithOSDescription(), "os.description") })
	text(want.HostArch, "host.arch", hostArch)
	text(want.HostID, "host.id", func() string { return fromSDK(ctx, resource.WithHostID(), "host.id") })
	list(want.HostInterface, "host.interface", func(i net.Interface) []string { return []string{i.Name} })
	list(want.HostIP, "host.ip", whereUp(addressesOf))
	list(want.HostMAC, "host.mac", whereUp(hardwareOf))
	processor := s.processor()
	text(want.HostCPUVendorID, "host.cpu.vendor.id", func() string { return processor["vendor_id"] })
	text(want.HostCPUFamily, "host.cpu.family", func() string { return processor["cpu family"] })
	text(want.HostCPUModelID, "host.cpu.model.id", func() string { return processor["model"] })
	text(want.HostCPUModelName, "host.cpu.model.name", func() string { return processor["model name"] })
	text(want.HostCPUStepping, "host.cpu.stepping", func() string { return processor["stepping"] })
	if want.HostCPUCacheL2Size.Enabled {
		if size, err := strconv.ParseInt(strings.TrimSuffix(processor["cache size"], " KB"), 10, 64); err == nil {
			f.attributes.PutInt("host.cpu.cache.l2.size", size)
		}
	}
	return f, nil
}

// name is the name of the host, from the first source that has one.
func (s *system) name(ctx context.Context) (string, error) {
	host, err := s.hostname()
	if err != nil {
		return "", fmt.Errorf("read the name of the host: %w", err)
	}
	sources := s.config.HostnameSources
	if len(sources) == 0 {
		sources = []string{"dns", "os"}
	}
	var errs []error
	for _, source := range sources {
		name, err := "", error(nil)
		switch source {
		case "os":
			name = host
		case "dns":
			name, err = s.qualified(ctx, host)
		case "cname":
			name, err = s.cname(ctx, host)
		case "lookup":
			name, err = s.reverse(ctx, host)
		}
		name = strings.TrimRight(name, ".")
		if err == nil && name != "" {
			return name, nil
		}
		if err == nil {
			err = errors.New("no name is known")
		}
		errs = append(errs, fmt.Errorf("find the name of the host by %s: %w", source, err))
	}
	return "", errors.Join(errs...)
}

// qualified is the name of a host with its domain, by /etc/hosts or by DNS.
func (s *system) qualified(ctx context.Context, host string) (string, error) {
	hosts, _ := fs.ReadFile(s.root, "etc/hosts") // without it, DNS is asked
	for line := range strings.Lines(string(hosts)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 || net.ParseIP(fields[0]) == nil {
			continue
		}
		for _, name := range fields[1:] {
			if name == host {
				return fields[1], nil
			}
		}
	}
	if name, err := s.cname(ctx, host); err == nil && name != "" {
		return name, nil
	}
	return s.reverse(ctx, host)
}

// reverse is the name of an address of a host.
func (s *system) reverse(ctx context.Context, host string) (string, error) {
	addresses, err := s.addresses(ctx, host)
	if err != nil {
		return "", err
	}
	for _, address := range addresses {
		names, nerr := s.names(ctx, address)
		if nerr == nil && len(names) > 0 {
			return names[0], nil
		}
		err = nerr
	}
	return "", err
}

// eachInterface lists what of gives for the network interfaces.
func (s *system) eachInterface(of func(net.Interface) []string) (all []string) {
	interfaces, err := s.interfaces()
	if err != nil {
		return nil
	}
	for _, i := range interfaces {
		all = append(all, of(i)...)
	}
	return all
}

// whereUp is of for interfaces that are up, without loopback.
func whereUp(of func(net.Interface) []string) func(net.Interface) []string {
	return func(i net.Interface) []string {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			return nil
		}
		return of(i)
	}
}

// hardwareOf is the address of an interface as the IEEE writes it.
func hardwareOf(i net.Interface) []string {
	if len(i.HardwareAddr) == 0 {
		return nil
	}
	return []string{strings.ToUpper(strings.ReplaceAll(i.HardwareAddr.String(), ":", "-"))}
}

func addressesOf(i net.Interface) (all []string) {
	addresses, err := i.Addrs()
	if err != nil {
		return nil
	}
	for _, a := range addresses {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && !ip.IsLoopback() {
			all = append(all, ip.String())
		}
	}
	return all
}

// release is a value of /etc/os-release.
func (s *system) release(key string) string {
	text, err := fs.ReadFile(s.root, "etc/os-release")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}

// version is the distribution's. Debian has the point release elsewhere.
func (s *system) version() string {
	if s.release("ID") == "debian" {
		if text, err := fs.ReadFile(s.root, "etc/debian_version"); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	return s.release("VERSION_ID")
}

// build is the build of the distribution, or the version of the kernel.
func (s *system) build() string {
	if build := s.release("BUILD_ID"); build != "" {
		return build
	}
	text, err := fs.ReadFile(s.root, "proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// processor is what /proc/cpuinfo says of the first processor.
func (s *system) processor() map[string]string {
	text, err := fs.ReadFile(s.root, "proc/cpuinfo")
	if err != nil {
		return nil
	}
	about := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == "" {
			break
		}
		key, value, _ := strings.Cut(line, ":")
		about[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return about
}

// hostArch is what OpenTelemetry calls the architecture of the machine.
func hostArch() string {
	switch runtime.GOARCH {
	case "arm":
		return "arm32"
	case "ppc64le":
		return "ppc64"
	case "386":
		return "x86"
	}
	return runtime.GOARCH
}

// fromSDK is an attribute that the OpenTelemetry SDK detects; empty if it does not.
func fromSDK(ctx context.Context, detector resource.Option, key attribute.Key) string {
	r, err := resource.New(ctx, detector)
	if err != nil {
		return ""
	}
	value, _ := r.Set().Value(key)
	return value.AsString()
}
