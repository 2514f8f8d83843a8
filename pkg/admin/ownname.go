package admin

import (
	"io"
	"net"
	"os"
	"slices"
	"strings"
)

const (
	hostsFile = "/etc/hosts"
	// maxHosts is how much of it is read.
	maxHosts = 64 << 10
)

// ownNames are the names of this machine or container: its host name, and what /etc/hosts
// calls its addresses, where Docker writes a container's full name. What it calls a
// loopback address does not count: lists of blocked sites look like that.
func ownNames() []string {
	var names []string
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	file, err := os.Open(hostsFile)
	if err != nil {
		return names
	}
	defer file.Close()
	text, _ := io.ReadAll(io.LimitReader(file, maxHosts)) // what can be read of it
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return names
	}
	return append(names, namesIn(string(text), func(ip net.IP) bool {
		return !ip.IsLoopback() && slices.ContainsFunc(addresses, func(own net.Addr) bool {
			network, ok := own.(*net.IPNet)
			return ok && network.IP.Equal(ip)
		})
	})...)
}

// namesIn are the names that a hosts file gives to own addresses.
func namesIn(hosts string, own func(net.IP) bool) (names []string) {
	for line := range strings.Lines(hosts) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if ip := net.ParseIP(fields[0]); ip != nil && own(ip) {
			names = append(names, fields[1:]...)
		}
	}
	return names
}
