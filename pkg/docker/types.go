package docker

import "github.com/docker/docker/api/types/container"

// What is read of the Engine's answers. Everything else in them is skipped.

type endpointAnswer struct{ NetworkID, IPAddress, GlobalIPv6Address string }

type summaryAnswer struct {
	ID     string `json:"Id"`
	Names  []string
	Labels boundedLabels
	State  string
	Status string
	Ports  []struct {
		IP                      string
		PrivatePort, PublicPort uint16
		Type                    string
	}
	HostConfig      struct{ NetworkMode string }
	NetworkSettings struct{ Networks map[string]*endpointAnswer }
}

type inspectAnswer struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Status                string
		Running, Restarting   bool
		ExitCode              int
		StartedAt, FinishedAt string
	}
	HostConfig struct {
		NetworkMode   string
		LogConfig     container.LogConfig
		RestartPolicy struct{ Name string }
	}
	Config struct {
		Tty    bool
		Labels boundedLabels
	}
	NetworkSettings struct {
		Networks map[string]*endpointAnswer
		Ports    map[string][]struct{ HostIP, HostPort string }
	}
}

type networkAnswer struct {
	ID                string `json:"Id"`
	Name, Scope       string
	Internal, Ingress bool
	Labels            boundedLabels
}
