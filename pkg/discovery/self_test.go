package discovery

import (
	"testing"

	"collector/pkg/docker"
)

func TestDefaultGateway(t *testing.T) {
	const table = "Iface\tDestination\tGateway \tFlags\n" +
		"eth0\t000011AC\t00000000\t0001\n" +
		"eth0\t00000000\t010011AC\t0003\n"
	if got := defaultGateway(table); got != "172.17.0.1" {
		t.Errorf("got %q", got)
	}
	for _, table := range []string{"", "eth0\t00000000\tnonsense\n", "eth0\t00000000\n", "eth0\t000011AC\t010011AC\n"} {
		if got := defaultGateway(table); got != "" {
			t.Errorf("got %q of %q", got, table)
		}
	}
}

func TestDefaultGatewayOfIPv6(t *testing.T) {
	const zero = "00000000000000000000000000000000"
	const table = "fd000000000000000000000000000000 40 " + zero + " 00 " + zero + " 00000100 00000001 00000000 00000001     eth0\n" +
		zero + " 00 " + zero + " 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth1\n" +
		zero + " 00 " + zero + " 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n" +
		zero + " 00 " + zero + " 00 " + zero + " ffffffff 00000001 00000000 00200200       lo\n"
	if got := defaultGateway6(table); got != "fd00::1" {
		t.Errorf("got %q", got)
	}
	for _, table := range []string{"", "\n", zero + " 00 " + zero + " 00 nonsense 1\n", zero + " 00\n"} {
		if got := defaultGateway6(table); got != "" {
			t.Errorf("got %q of %q", got, table)
		}
	}
}

// A collector in a container prefers the networks that it is in, and reaches
// the host by its gateway.
func TestPlaceOfTheCollector(t *testing.T) {
	a, b, c := docker.Endpoint{Name: "a", NetworkID: "1"}, docker.Endpoint{Name: "b", NetworkID: "2"}, docker.Endpoint{Name: "c", NetworkID: "3"}
	snap := docker.Snapshot{Containers: []*docker.Container{
		{ID: "inside", Name: "/inside", Running: true, NetworkMode: "b", Networks: []docker.Endpoint{b}},
		{ID: "onhost", Name: "/onhost", Running: true, NetworkMode: "host", Networks: []docker.Endpoint{{Name: "host"}}},
		{ID: "peer", Name: "/peer", Running: true, NetworkMode: "container:inside"},
	}}
	for _, test := range []struct {
		self          self
		nearest, host string
	}{
		{self{}, "a", ""},
		{self{id: "inside", gateway: "10.0.0.1"}, "b", "10.0.0.1"},
		{self{id: "peer", gateway: "10.0.0.1"}, "b", "10.0.0.1"},
		{self{id: "onhost", gateway: "10.0.0.1"}, "a", ""},
		{self{id: "elsewhere", gateway: "10.0.0.1"}, "a", ""},
	} {
		p := test.self.place(snap)
		if got := p.nearest([]docker.Endpoint{a, b, c}).Name; got != test.nearest || p.host != test.host {
			t.Errorf("%+v: network %s, host %q", test.self, got, p.host)
		}
	}
}
