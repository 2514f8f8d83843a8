package graph

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"collector/pkg/config"
	"collector/pkg/pipeline"
)

// derived is a live value, such as a list of targets, that an expression makes of
// others. It is made again whenever one of those changes.
type derived struct {
	expr    *config.Expr
	resolve config.Resolver // gives the current values of the sources
	sources []pipeline.Live
	made    pipeline.Live

	mu  sync.Mutex
	err error // guarded by mu: why the last evaluation failed
}

// evaluate makes the value. After an error it stays as it is.
func (d *derived) evaluate() config.Diagnostics {
	value, ds := d.expr.Evaluate(d.resolve)
	var err error
	if ds == nil {
		if err = d.made.Assign(value); err != nil {
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

// run follows the values that d is made of until ctx ends. observe is called for each
// evaluation, with how long it had to wait, how long it took, and its error.
func (d *derived) run(ctx context.Context, observe func(waited, took time.Duration, ds config.Diagnostics)) {
	woken := time.Now()
	for {
		cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
		for _, s := range d.sources {
			// The channels are taken before the values are, so that no change
			// goes unseen.
			_, changed := s.Now()
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
