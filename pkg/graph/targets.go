package graph

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/config"
	"collector/pkg/discovery"
)

// derived is a set of targets that an expression makes of other sets. It is
// made anew whenever one of those is replaced.
type derived struct {
	expr    *config.Expr
	resolve config.Resolver // gives the current targets of the sets
	sources []*discovery.Set
	set     *discovery.Set

	mu  sync.Mutex
	err error // guarded by mu: why the last evaluation failed
}

// evaluate makes the targets. On error the set keeps what it has.
func (d *derived) evaluate() config.Diagnostics {
	value, ds := d.expr.Evaluate(d.resolve)
	var err error
	if ds == nil {
		var targets []discovery.Target
		if targets, err = targetsOf(value); err == nil {
			d.set.Replace(targets)
		} else {
			ds = config.Diagnostics{{At: d.expr.At(), Message: err.Error()}}
		}
	} else if len(ds) > 0 {
		err = errors.New(ds[0].Message)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	return ds
}

func (d *derived) health() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// run follows the sets that d is made of until ctx ends. observe is told of
// each evaluation: how long it had to wait, how long it took, what went wrong.
func (d *derived) run(ctx context.Context, observe func(waited, took time.Duration, ds config.Diagnostics)) {
	woken := time.Now()
	for {
		cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
		for _, s := range d.sources {
			// The channels are taken before the targets are, so that no
			// replacement goes unseen.
			_, changed := s.Targets()
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(changed)})
		}
		start := time.Now()
		ds := d.evaluate()
		observe(start.Sub(woken), time.Since(start), ds)
		if chosen, _, _ := reflect.Select(cases); chosen == 0 {
			return
		}
		woken = time.Now()
	}
}

// objects are targets as expressions see them.
func objects(targets []discovery.Target) []map[string]string {
	out := make([]map[string]string, len(targets))
	for i, t := range targets {
		out[i] = t.Map()
	}
	return out
}

// targetsOf reads a list of objects. Labels without a value are left out, as
// they mean the same as absent ones.
func targetsOf(value any) ([]discovery.Target, error) {
	list, ok := value.([]any)
	if !ok && value != nil {
		return nil, fmt.Errorf("this gives %s where a list of targets is needed, such as [{\"__address__\" = \"host:port\"}]", kind(value))
	}
	targets := make([]discovery.Target, 0, len(list))
	for i, element := range list {
		object, ok := element.(map[string]any)
		if !ok {
			hint := ""
			if _, nested := element.([]any); nested {
				hint = "; array.concat(...) joins lists"
			}
			return nil, fmt.Errorf("target %d is %s where an object is needed, such as {\"__address__\" = \"host:port\"}%s", i+1, kind(element), hint)
		}
		b := labels.NewBuilder(labels.EmptyLabels())
		for name, v := range object {
			text, err := labelValue(v)
			if err != nil {
				return nil, fmt.Errorf("label %q of target %d %w", name, i+1, err)
			}
			b.Set(name, text)
		}
		targets = append(targets, b.Labels())
	}
	return targets, nil
}

func labelValue(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case uint64:
		return strconv.FormatUint(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	return "", fmt.Errorf("is %s where a string is needed", kind(v))
}

func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return strconv.FormatBool(v)
	case int, int64, uint64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	case *config.Opaque:
		return describe(v)
	}
	return "a value of another kind"
}
