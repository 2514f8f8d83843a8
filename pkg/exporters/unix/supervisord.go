package unix

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/mattn/go-xmlrpc"
	"github.com/prometheus/client_golang/prometheus"
)

// supervisord is the collector of that name. The library's has one client for all
// exporters, of which the last one's address counts.
type supervisord struct {
	client                         *xmlrpc.Client
	up, state, exitStatus, started *prometheus.Desc
}

func newSupervisord(address string) (*supervisord, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("url is not valid; for example: http://localhost:9001/RPC2, or unix:///run/supervisor.sock")
	}
	s := &supervisord{client: xmlrpc.NewClient(address)}
	if u.Scheme == "unix" {
		s.client = xmlrpc.NewClient("http://unix/RPC2")
		s.client.HttpClient.Transport = &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", u.Path)
			},
			DisableKeepAlives: true,
		}
	}
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("node_supervisord_"+name, help, []string{"name", "group"}, nil)
	}
	s.up = desc("up", "1 if the process is starting, running or stopping.")
	s.state = desc("state", "State of the process, by supervisord's number.")
	s.exitStatus = desc("exit_status", "Exit status of the process.")
	s.started = desc("start_time_seconds", "When the process was started.")
	return s, nil
}

// The states of a process that is there (http://supervisord.org/subprocess.html).
const (
	starting = 10
	running  = 20
	stopping = 40
)

// Update implements collector.Collector.
func (s *supervisord) Update(to chan<- prometheus.Metric) error {
	answer, err := s.client.Call("supervisor.getAllProcessInfo")
	if err != nil {
		return fmt.Errorf("query supervisord: %w", err)
	}
	processes, ok := answer.(xmlrpc.Array)
	if !ok {
		return fmt.Errorf("supervisord returned %T instead of a list of processes", answer)
	}
	for _, p := range processes {
		process, ok := p.(xmlrpc.Struct)
		if !ok {
			return fmt.Errorf("supervisord's list contains %T instead of a process", p)
		}
		name, _ := process["name"].(string)
		group, _ := process["group"].(string)
		number := func(key string) float64 { n, _ := process[key].(int); return float64(n) }
		send := func(desc *prometheus.Desc, kind prometheus.ValueType, v float64) {
			to <- prometheus.MustNewConstMetric(desc, kind, v, name, group)
		}
		send(s.state, prometheus.GaugeValue, number("state"))
		send(s.exitStatus, prometheus.GaugeValue, number("exitstatus"))
		up := 0.0
		switch number("state") {
		case starting, running, stopping:
			up = 1
			send(s.started, prometheus.CounterValue, number("start"))
		}
		send(s.up, prometheus.GaugeValue, up)
	}
	return nil
}
