package scrape

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
	"collector/pkg/profiles/delta"
)

// Labels of targets that say how to scrape them.
const (
	labelPath        = "__profile_path__"
	labelPrefix      = "__profile_path_prefix__"
	labelServiceName = "service_name"
)

// endpoint is a profile of a target: where it is, how often it is scraped, and which
// labels it gets.
type endpoint struct {
	key        string        // what distinguishes it from others: the labels that are not secret, and the URL
	labels     labels.Labels // with those that relabeling may read
	discovered labels.Labels
	kind       string // as it is stored
	compared   []delta.ValueType
	url        string
	interval   time.Duration
	timeout    time.Duration
}

// errEnded marks a target that is not scraped although nothing is wrong.
var errEnded = errors.New("the target has exited")

// endpoints are the profiles of a discovered target.
func (c *Config) endpoints(t discovery.Target) ([]endpoint, error) {
	if t.Get(discovery.EndedLabel) == "true" {
		return nil, errEnded
	}
	all := c.Profiling.kinds()
	var out []endpoint
	for _, k := range all {
		if !k.Enabled {
			continue
		}
		e, err := c.endpoint(t, k, all)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// endpoint is the profile of a kind of a target. Labels of the target come before what
// the component says. The label __name__ of a target may name another kind with the same
// path.
func (c *Config) endpoint(t discovery.Target, k kind, all []kind) (endpoint, error) {
	e := endpoint{discovered: t, interval: c.ScrapeInterval, timeout: c.ScrapeTimeout}
	b := labels.NewBuilder(t)
	b.Del(discovery.EndedLabel)
	name := cmp.Or(t.Get(model.MetricNameLabel), k.name)
	b.Set(model.MetricNameLabel, name)
	takesTime := slices.ContainsFunc(all, func(k kind) bool { return k.name == name && k.Delta })
	for _, l := range []labels.Label{
		{Name: labelPath, Value: k.Path}, {Name: labelPrefix, Value: c.Profiling.PathPrefix},
		{Name: model.JobLabel, Value: c.JobName}, {Name: model.SchemeLabel, Value: c.Scheme},
	} {
		b.Set(l.Name, cmp.Or(t.Get(l.Name), l.Value))
	}
	address, err := addressOf(t.Get(model.AddressLabel), b.Get(model.SchemeLabel))
	if err != nil {
		return e, err
	}
	b.Set(model.AddressLabel, address)
	b.Set(model.InstanceLabel, cmp.Or(t.Get(model.InstanceLabel), address))
	b.Set(labelServiceName, cmp.Or(t.Get(labelServiceName), serviceName(t)))
	e.kind, e.compared = stored(name)
	b.Set(model.MetricNameLabel, e.kind)
	e.labels = b.Labels()
	params := c.params(t)
	if takesTime {
		params.Add("seconds", strconv.Itoa(c.seconds()))
		e.timeout += e.interval - time.Second
	}
	if err := e.setURL(t.Get(model.AddressLabel), params); err != nil {
		return e, err
	}
	return e, e.check()
}

// params are the parameters of a target's URL. As in Alloy, the argument comes before the
// labels of the target.
func (c *Config) params(t discovery.Target) url.Values {
	params := url.Values{}
	for name, values := range c.Params {
		params[name] = slices.Clone(values)
	}
	t.Range(func(l labels.Label) {
		if name, is := strings.CutPrefix(l.Name, model.ParamLabelPrefix); is && len(params[name]) == 0 {
			params[name] = []string{l.Value}
		}
	})
	return params
}

// addressOf is the address of a target with the port.
func addressOf(address, scheme string) (string, error) {
	if address == "" {
		return "", errors.New("it has no __address__")
	}
	if strings.Contains(address, "/") {
		return "", fmt.Errorf("__address__ %.200q is not host:port", address)
	}
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address, nil
	}
	port := map[string]string{"": ":80", "http": ":80", "https": ":443"}[scheme]
	if port == "" {
		return "", fmt.Errorf("its scheme %.40q is unknown", scheme)
	}
	if _, _, err := net.SplitHostPort(address + port); err != nil {
		return "", fmt.Errorf("__address__ %.200q is not host:port", address)
	}
	return address + port, nil
}

// serviceName is the name of a target's service if it has no label that says so.
func serviceName(t discovery.Target) string {
	const kubernetes, docker, swarm = "__meta_kubernetes_", "__meta_docker_", "__meta_dockerswarm_"
	pod := ""
	if namespace, container := t.Get(kubernetes+"namespace"), t.Get(kubernetes+"pod_container_name"); namespace != "" && container != "" {
		pod = namespace + "/" + container
	}
	return cmp.Or(t.Get(kubernetes+"pod_annotation_pyroscope_io_service_name"), pod, t.Get(docker+"container_name"),
		t.Get(swarm+"container_label_service_name"), t.Get(swarm+"service_name"), "unspecified")
}

// setURL sets the URL and the key.
func (e *endpoint) setURL(address string, params url.Values) error {
	u := url.URL{Scheme: cmp.Or(e.labels.Get(model.SchemeLabel), "http"), Host: address, RawQuery: params.Encode()}
	e.url = u.JoinPath(e.labels.Get(labelPrefix), e.labels.Get(labelPath)).String()
	if _, err := url.Parse(e.url); err != nil {
		return errors.New("its address: " + err.Error())
	}
	own := labels.NewBuilder(labels.EmptyLabels())
	e.labels.Range(func(l labels.Label) {
		if !strings.HasPrefix(l.Name, model.ReservedLabelPrefix) {
			own.Set(l.Name, l.Value)
		}
	})
	e.key = string(own.Labels().Bytes(nil)) + e.url
	return nil
}

// shown are the labels that are stored.
func (e *endpoint) shown() labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	e.labels.Range(func(l labels.Label) {
		if l.Name == model.MetricNameLabel || !strings.HasPrefix(l.Name, model.ReservedLabelPrefix) {
			b.Set(l.Name, l.Value)
		}
	})
	return b.Labels()
}

// check reports a label that no destination can store.
func (e *endpoint) check() (err error) {
	e.labels.Range(func(l labels.Label) {
		if !model.LabelValue(l.Value).IsValid() {
			err = fmt.Errorf("the label %.200q is not UTF-8: %.200q", l.Name, l.Value)
		}
	})
	return err
}

// id names the endpoint in the UI.
func (e *endpoint) id() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.key)) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}
