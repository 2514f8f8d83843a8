package harness

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

// ReadBytes is how much dockerd has read so far, from files, sockets and pipes.
func (e *Engine) ReadBytes(t testing.TB) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", e.process.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	if _, err := fmt.Sscanf(string(data), "rchar: %d", &n); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	return n
}

// Gateway is the host's address on the default network.
func (e *Engine) Gateway(t testing.TB) string {
	t.Helper()
	info, err := e.Client.NetworkInspect(context.Background(), "bridge", network.InspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return info.IPAM.Config[0].Gateway
}

// AddNetwork makes a bridge network, which ends with the test, and returns the
// host's address there.
func (e *Engine) AddNetwork(t testing.TB, name string) (gateway string) {
	t.Helper()
	gateway, _ = e.addNetwork(t, name)
	return gateway
}

// AddIsolatedNetwork is AddNetwork for a network that nothing leaves: containers in other
// networks can't reach those in it.
func (e *Engine) AddIsolatedNetwork(t testing.TB, name string) {
	t.Helper()
	_, bridge := e.addNetwork(t, name)
	if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv4/conf", bridge, "forwarding"), []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
}

func (e *Engine) addNetwork(t testing.TB, name string) (gateway, bridge string) {
	t.Helper()
	bridge, gateway = addBridge(t)
	ctx := context.Background()
	made, err := e.Client.NetworkCreate(ctx, name, network.CreateOptions{
		Driver: "bridge", Options: map[string]string{"com.docker.network.bridge.name": bridge},
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: gateway + "/24", Gateway: gateway}}},
	})
	if err != nil {
		t.Fatalf("create network %s: %v", name, err)
	}
	t.Cleanup(func() {
		if n, err := e.Client.NetworkInspect(ctx, made.ID, network.InspectOptions{}); err == nil {
			for id := range n.Containers {
				e.Client.NetworkDisconnect(ctx, made.ID, id, true)
			}
		}
		e.Client.NetworkRemove(ctx, made.ID)
	})
	return gateway, bridge
}

// RunCollector runs the collector's binary in a container, with the Engine's
// socket and the built-in configuration, and returns its id.
func (e *Engine) RunCollector(t testing.TB, name, networkMode string, env ...string) string {
	t.Helper()
	binary, err := os.ReadFile(BuildCollector(t))
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	w.WriteHeader(&tar.Header{Name: "collector", Mode: 0o755, Size: int64(len(binary))})
	w.Write(binary)
	w.WriteHeader(&tar.Header{Name: "tmp/", Mode: 0o777, Typeflag: tar.TypeDir})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e.Import(t, &archive, "collector:test", `ENTRYPOINT ["/collector"]`)
	created, err := e.Client.ContainerCreate(context.Background(), &container.Config{
		Image: "collector:test", Env: env, Cmd: []string{"run", "--storage.path=/tmp/data", "--server.http.listen-addr=0.0.0.0:12345"},
	}, &container.HostConfig{
		NetworkMode: container.NetworkMode(networkMode), Binds: []string{strings.TrimPrefix(e.Host, "unix://") + ":/var/run/docker.sock"},
	}, nil, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Client.ContainerStart(context.Background(), created.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return created.ID
}

// Expose makes a port of the loopback interface reachable at another address of
// this host, and returns host:port there.
func Expose(t testing.TB, address, target string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				to, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				defer to.Close()
				go io.Copy(to, c)
				io.Copy(c, to)
			}()
		}
	}()
	return l.Addr().String()
}
