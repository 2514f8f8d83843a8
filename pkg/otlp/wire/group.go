package wire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"collector/pkg/pipeline"
)

// Group is the part of a request whose items have a key in common: a request itself.
type Group struct {
	Key string
	Part
}

// GroupBy cuts a request into one request for each key, in the order in which the keys
// first occur. key is called for each span, log record and metric; with points, for each
// data point instead of its metric.
//
// Each group repeats the resources, scopes and metrics that its items are in: together,
// groups can have many times the bytes of the request. Above room bytes more than it,
// GroupBy fails with ErrTooLarge.
//
// data is a request that Measure accepts. A resource or a scope without items is in no
// group.
func GroupBy(s pipeline.Signal, data []byte, points bool, room int64, key func(Item) (string, error)) ([]Group, error) {
	g := grouper{key: key, points: points, room: int64(len(data)) + room, groups: map[string]*grouping{}}
	if err := g.cut(0, data, requestOf(s)); err != nil {
		if errors.Is(err, ErrTooLarge) {
			err = fmt.Errorf("%w: it repeats its resources and scopes in each of its parts, which would have %d bytes more than it; send smaller batches, or fewer attributes of a resource", err, room)
		}
		return nil, err
	}
	groups := make([]Group, 0, len(g.order))
	for _, of := range g.order {
		of.Data = of.open[0]
		groups = append(groups, of.Group)
	}
	return groups, nil
}

// mostLevels is how many messages an item is in: the request, a resource, a scope, a
// metric and its data.
const mostLevels = 5

// grouper writes groups. It is within the messages of path, from the request down.
type grouper struct {
	key     func(Item) (string, error)
	points  bool
	room    int64    // bytes that the groups may still get
	path    [][]byte // of each message, its fields other than what it is cut by
	kinds   []message
	touched [mostLevels][]*grouping // have something of the current message of the level
	groups  map[string]*grouping
	order   []*grouping
}

// grouping is a group and, for each level, what it has of the current message; nil:
// nothing.
type grouping struct {
	Group
	open [mostLevels][]byte
}

// cut adds a message, which is field num of the one around it, to the groups that its
// items are of.
func (g *grouper) cut(num int32, value []byte, m message) error {
	child, inner, err := m.cutBy(value)
	if m < msgResourceSpans { // the request
		child, inner = fieldResources, m.resources()
	}
	if err != nil {
		return err
	}
	if child == 0 || m == msgMetric && !g.points {
		return g.leaf(num, value, m)
	}
	drop := child
	if m.isResource() {
		drop = fieldDeprecatedScopes // hidden by the current ones
	}
	header, err := without(value, child, drop)
	if err != nil {
		return err
	}
	level := len(g.path)
	g.path, g.kinds = append(g.path, header), append(g.kinds, m)
	err = eachField(value, func(n int32, v, _ []byte) error {
		if n != child {
			return nil
		}
		return g.cut(n, v, inner)
	})
	for _, of := range g.touched[level] {
		if level > 0 && err == nil {
			err = g.add(of, level-1, num, of.open[level])
		}
		if level > 0 {
			of.open[level] = nil
		}
	}
	g.touched[level] = nil
	g.path, g.kinds = g.path[:level], g.kinds[:level]
	return err
}

// resources is the message that a request holds.
func (m message) resources() message { return message(m.fields()[fieldResources-1]) }

func (g *grouper) leaf(num int32, value []byte, m message) error {
	key, err := g.key(Item{in: g.path, kinds: g.kinds, kind: m, data: value})
	if err != nil {
		return err
	}
	n, err := walkMessage(value, m, 0, new(int))
	if err != nil {
		return err
	}
	of := g.groups[key]
	if of == nil {
		of = &grouping{Group: Group{Key: key}}
		g.groups[key] = of
		g.order = append(g.order, of)
	}
	of.Items += n
	g.room -= int64(len(value))
	return g.add(of, len(g.path)-1, num, value)
}

// add adds a field to what a group has of the current message of a level.
func (g *grouper) add(of *grouping, level int, num int32, value []byte) error {
	if of.open[level] == nil {
		g.room -= int64(len(g.path[level]))
	}
	if g.room < 0 {
		return ErrTooLarge
	}
	if of.open[level] == nil {
		of.open[level] = append([]byte{}, g.path[level]...)
		g.touched[level] = append(g.touched[level], of)
	}
	b := appendUvarint(appendTag(of.open[level], num), uint64(len(value)))
	of.open[level] = append(b, value...)
	return nil
}

// Item is a span, a log record, a metric or a data point in its request.
type Item struct {
	in    [][]byte // the fields of the messages around it, from the request down
	kinds []message
	kind  message
	data  []byte
}

// TraceID is the trace id of a span or a log record, in its 16 bytes; "": it has none.
func (i Item) TraceID() (string, error) {
	for n, k := range i.kind.fields() {
		if kind(k) == kindTraceID {
			id, err := lastField(i.data, int32(n+1))
			return string(id), err
		}
	}
	return "", nil
}

// Attribute is a string attribute of the item's resource or else its scope or else the
// item; "": it has none.
func (i Item) Attribute(name string) (string, error) {
	for level := 1; level < len(i.in); level++ {
		m, kind, err := i.described(level)
		if err != nil || kind == 0 {
			return "", err
		}
		if value, ok, err := attribute(m, kind, name); err != nil || ok {
			return value, err
		}
	}
	value, _, err := attribute(i.data, i.kind, name)
	return value, err
}

// described is the resource or the scope that the message of a level is about; 0: none.
func (i Item) described(level int) (m []byte, kind message, err error) {
	switch {
	case i.kinds[level].isResource():
		kind = msgResource
	case i.kinds[level] >= msgScopeSpans && i.kinds[level] <= msgScopeLogs:
		kind = msgScope
	default:
		return nil, 0, nil
	}
	m, err = lastField(i.in[level], fieldDescribed)
	return m, kind, err
}

// ResourceID is equal for equal attributes of the item's resource.
func (i Item) ResourceID() (string, error) {
	m, kind, err := i.described(1)
	if err != nil {
		return "", err
	}
	return identity(m, kind)
}

// MetricName is the name of a metric, or of the one of a data point.
func (i Item) MetricName() (string, error) {
	m := i.data
	if i.kind != msgMetric {
		m = i.in[min(metricLevel, len(i.in)-1)]
	}
	name, err := lastField(m, fieldMetricName)
	return string(name), err
}

// StreamID is equal for data points of one series: of equal attributes, metrics of one
// name, unit and type, scopes and resources.
func (i Item) StreamID() (id string, err error) {
	for level := 1; level < len(i.in); level++ {
		var part string
		if m, kind, err := i.described(level); err != nil {
			return "", err
		} else if kind != 0 {
			part, err = identity(m, kind)
			if err != nil {
				return "", err
			}
		} else if level == metricLevel {
			part, err = fieldsOf(i.in[level], fieldMetricName, fieldMetricUnit)
			if err != nil {
				return "", err
			}
		} else {
			part = string(i.in[level]) // temporality and the like
		}
		id += string(appendUvarint(nil, uint64(len(part)))) + string(rune(i.kinds[level])) + part
	}
	own, err := identity(i.data, i.kind)
	return id + own, err
}

// lastField is the value of a field that is length-delimited, the last of that number.
func lastField(b []byte, num int32) (value []byte, err error) {
	err = eachField(b, func(n int32, v, _ []byte) error {
		if n == num {
			value = v
		}
		return nil
	})
	return value, err
}

// fieldsOf are those fields of a message, as they are.
func fieldsOf(b []byte, nums ...int32) (string, error) {
	var out []byte
	err := eachField(b, func(n int32, _, all []byte) error {
		if slices.Contains(nums, n) {
			out = append(out, all...)
		}
		return nil
	})
	return string(out), err
}

// attributesField is the field that holds a message's attributes.
func (m message) attributesField() int32 {
	for n, k := range m.fields() {
		if message(k) == msgKeyValue {
			return int32(n + 1)
		}
	}
	return 0
}

// attribute is a string attribute of a message: the first of that name.
func attribute(b []byte, m message, name string) (value string, ok bool, err error) {
	field := m.attributesField()
	err = eachField(b, func(n int32, pair, _ []byte) error {
		if n != field || ok {
			return nil
		}
		key, err := lastField(pair, fieldKey)
		if err != nil || string(key) != name {
			return err
		}
		ok = true
		of, err := lastField(pair, fieldValue)
		if err != nil {
			return err
		}
		text, err := lastField(of, fieldStringValue)
		value = string(text)
		return err
	})
	return value, ok, err
}

// identity is equal for messages of equal attributes, in any order, and, of scopes, of
// equal names and versions.
func identity(b []byte, m message) (string, error) {
	field := m.attributesField()
	var pairs [][]byte
	var out []byte
	err := eachField(b, func(n int32, _, all []byte) error {
		switch {
		case n == field:
			pairs = append(pairs, all)
		case m == msgScope && (n == fieldScopeName || n == fieldScopeVersion):
			out = append(out, all...)
		}
		return nil
	})
	slices.SortFunc(pairs, bytes.Compare)
	return string(append(out, bytes.Join(pairs, nil)...)), err
}
