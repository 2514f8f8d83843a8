package discovery

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

const (
	metaConsul         = model.MetaLabelPrefix + "consul_"
	consulServiceLabel = metaConsul + "service"
)

// consulInstance is an instance of a service as Consul's health endpoint has it.
// https://developer.hashicorp.com/consul/api-docs/health#list-service-instances-for-service
type consulInstance struct {
	Node struct {
		Node, Address, Datacenter string
		TaggedAddresses, Meta     map[string]string
	}
	Service struct {
		ID, Address, Namespace, Partition string
		Tags                              []string
		Meta                              map[string]string
		Port                              int
	}
	Checks []consulCheck
}

type consulCheck struct{ CheckID, Status string }

// target is the instance as a target of the service with that name.
func (i *consulInstance) target(service string, c *ConsulConfig) Target {
	b := labels.NewBuilder(labels.EmptyLabels())
	host, port := i.Service.Address, strconv.Itoa(i.Service.Port)
	if host == "" {
		host = i.Node.Address
	}
	dc := i.Node.Datacenter
	if dc == "" { // an old Consul
		dc = c.Datacenter
	}
	setLabels(b, metaConsul+"metadata_", i.Node.Meta)
	setLabels(b, metaConsul+"service_metadata_", i.Service.Meta)
	setLabels(b, metaConsul+"tagged_address_", i.Node.TaggedAddresses)
	b.Set(model.AddressLabel, net.JoinHostPort(host, port))
	b.Set(metaConsul+"address", i.Node.Address)
	b.Set(metaConsul+"dc", dc)
	b.Set(metaConsul+"health", consulHealth(i.Checks))
	b.Set(metaConsul+"namespace", i.Service.Namespace)
	b.Set(metaConsul+"node", i.Node.Node)
	b.Set(metaConsul+"partition", i.Service.Partition)
	b.Set(consulServiceLabel, service)
	b.Set(metaConsul+"service_address", i.Service.Address)
	b.Set(metaConsul+"service_id", i.Service.ID)
	b.Set(metaConsul+"service_port", port)
	// The separator around the tags spares rules the case of the first and the last.
	b.Set(metaConsul+"tags", c.TagSeparator+strings.Join(i.Service.Tags, c.TagSeparator)+c.TagSeparator)
	return b.Labels()
}

// consulHealth is the worst status of the checks, as Consul's own client has it; "" if
// one of them is none of Consul's.
func consulHealth(checks []consulCheck) string {
	rank := []string{"passing", "warning", "critical", "maintenance"}
	worst := 0
	for _, check := range checks {
		level := slices.Index(rank[:3], check.Status)
		if check.CheckID == "_node_maintenance" || strings.HasPrefix(check.CheckID, "_service_maintenance:") {
			level = 3
		}
		if level < 0 {
			return ""
		}
		worst = max(worst, level)
	}
	return rank[worst]
}
