package consul

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("consul_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector: nothing is known beforehand.
func (c *client) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector. What fails does not keep the rest from
// being asked for.
func (c *client) Collect(to chan<- prometheus.Metric) {
	up := 1.0
	for _, part := range []struct {
		name string
		ask  func(chan<- prometheus.Metric) error
	}{
		{"peers", c.peers}, {"leader", c.leader}, {"nodes", c.nodes}, {"members", c.members}, {"members of other data centers", c.wanMembers},
		{"services", c.services}, {"health checks", c.checks}, {"keys", c.keys},
	} {
		if err := part.ask(to); err != nil {
			c.log.Error("read "+part.name, "err", err)
			up = 0
		}
	}
	gauge(to, desc("up", "Whether everything that was asked for was answered."), up)
}

func gauge(to chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	m, err := prometheus.NewConstMetric(d, prometheus.GaugeValue, value, labels...)
	if err != nil { // a label that is not valid UTF-8
		m = prometheus.NewInvalidMetric(d, err)
	}
	to <- m
}

func (c *client) peers(to chan<- prometheus.Metric) error {
	var peers []string
	if err := c.get(&peers, nil, "v1/status/peers"); err != nil {
		return err
	}
	gauge(to, desc("raft_peers", "Servers in the Raft cluster."), float64(len(peers)))
	return nil
}

func (c *client) leader(to chan<- prometheus.Metric) error {
	var leader string
	if err := c.get(&leader, nil, "v1/status/leader"); err != nil {
		return err
	}
	gauge(to, desc("raft_leader", "Whether this node knows a leader of the Raft cluster."), float64(min(1, len(leader))))
	return nil
}

func (c *client) nodes(to chan<- prometheus.Metric) error {
	var nodes []struct{}
	if err := c.get(&nodes, c.query, "v1/catalog/nodes"); err != nil {
		return err
	}
	gauge(to, desc("serf_lan_members", "Members of the cluster."), float64(len(nodes)))
	return nil
}

func (c *client) members(to chan<- prometheus.Metric) error {
	var members []member
	if err := c.get(&members, nil, "v1/agent/members"); err != nil {
		return err
	}
	d := desc("serf_lan_member_status", "Status of a member of the cluster: 1 alive, 2 leaving, 3 left, 4 failed.", "member")
	for _, m := range members {
		gauge(to, d, float64(m.Status), m.Name)
	}
	return nil
}

func (c *client) wanMembers(to chan<- prometheus.Metric) error {
	var members []member
	if err := c.get(&members, url.Values{"wan": {"1"}}, "v1/agent/members"); err != nil {
		return err
	}
	d := desc("serf_wan_member_status", "Status of a member in any data center: 1 alive, 2 leaving, 3 left, 4 failed.", "member", "dc")
	for _, m := range members {
		gauge(to, d, float64(m.Status), m.Name, m.Tags["dc"])
	}
	return nil
}

// services counts them, and asks for the health of each.
func (c *client) services(to chan<- prometheus.Metric) error {
	var services map[string][]string
	if err := c.get(&services, c.query, "v1/catalog/services"); err != nil {
		return err
	}
	gauge(to, desc("catalog_services", "Services in the cluster."), float64(len(services)))
	if !c.summary {
		return nil
	}
	var asking sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for name := range services {
		if strings.HasPrefix(name, "/") { // Consul cannot be asked for it
			continue
		}
		c.limit <- struct{}{}
		asking.Go(func() {
			defer func() { <-c.limit }()
			if err := c.service(to, name); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("service %s: %w", name, err))
			}
		})
	}
	asking.Wait()
	return errors.Join(errs...)
}

func (c *client) service(to chan<- prometheus.Metric, name string) error {
	var entries []entry
	if err := c.get(&entries, c.query, "v1/health/service", url.PathEscape(name)); err != nil {
		return err
	}
	healthy := desc("catalog_service_node_healthy", "Whether all checks of a service on a node pass.", "service_id", "node", "service_name")
	tagged := desc("service_tag", "Tags of a service.", "service_id", "node", "tag")
	for _, e := range entries {
		passing := 1.0
		for _, check := range e.Checks {
			if check.Status != "passing" {
				passing = 0
			}
		}
		gauge(to, healthy, passing, e.Service.ID, e.Node.Node, e.Service.Service)
		seen := map[string]bool{}
		for _, tag := range e.Service.Tags {
			if !seen[tag] {
				gauge(to, tagged, 1, e.Service.ID, e.Node.Node, tag)
			}
			seen[tag] = true
		}
	}
	return nil
}

func (c *client) checks(to chan<- prometheus.Metric) error {
	var checks []check
	if err := c.get(&checks, c.query, "v1/health/state/any"); err != nil {
		return err
	}
	ofNode := desc("health_node_status", "Status of a node's health checks.", "check", "node", "status")
	ofService := desc("health_service_status", "Status of a service's health checks.", "check", "node", "service_id", "service_name", "status")
	names := desc("service_checks", "Names of a service's health checks.", "service_id", "service_name", "check_id", "check_name", "node")
	for _, check := range checks {
		for _, status := range []string{"passing", "warning", "critical", "maintenance"} {
			value := 0.0
			if check.Status == status {
				value = 1
			}
			if check.ServiceID == "" {
				gauge(to, ofNode, value, check.CheckID, check.Node, status)
			} else {
				gauge(to, ofService, value, check.CheckID, check.Node, check.ServiceID, check.ServiceName, status)
			}
		}
		if check.ServiceID != "" {
			gauge(to, names, 1, check.ServiceID, check.ServiceName, check.CheckID, check.Name, check.Node)
		}
	}
	return nil
}

func (c *client) keys(to chan<- prometheus.Metric) error {
	if c.prefix == "" {
		return nil
	}
	query := url.Values{"recurse": {""}}
	for name, values := range c.query {
		query[name] = values
	}
	var pairs []pair
	if err := c.get(&pairs, query, "v1/kv", c.prefix); err != nil && !errors.Is(err, errNothing) {
		return err
	}
	d := desc("catalog_kv", "Values of keys that are numbers.", "key")
	for _, p := range pairs {
		if value, err := strconv.ParseFloat(string(p.Value), 64); err == nil && c.filter.MatchString(p.Key) {
			gauge(to, d, value, p.Key)
		}
	}
	return nil
}
