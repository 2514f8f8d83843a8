package explore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	pprof "github.com/google/pprof/profile"
)

// Flame is a node of a flame graph: a function, the values of the samples in it
// and below, and the functions that it called, the largest first.
type Flame struct {
	Name     string   `json:"name"`
	Value    int64    `json:"value"`
	Self     int64    `json:"self"`
	Children []*Flame `json:"children,omitempty"`

	byName map[string]*Flame
}

// FlameResult is the sum of some profiles.
type FlameResult struct {
	Type     string `json:"type"`
	Unit     string `json:"unit"`
	Profiles int    `json:"profiles"`
	Root     *Flame `json:"root"`
	// Functions are those with the largest values of their own, at most 100.
	Functions []Function `json:"functions"`
}

// Function is what a function has in all stacks together.
type Function struct {
	Name  string `json:"name"`
	Self  int64  `json:"self"`  // in the function itself
	Total int64  `json:"total"` // in it and in what it called
}

const (
	// maxFunctions is how many functions are listed.
	maxFunctions = 100
	// maxMerged is how many profiles, the newest, a flame graph sums up.
	maxMerged = 60
	// maxDepth is how deep a stack is drawn.
	maxDepth = 256
	// maxFlames is how many flame graphs are made at a time: the others wait.
	maxFlames = 2
	// flameShare is the share of the whole below which a function is left out,
	// with what it called: it would be too narrow to be seen.
	flameShare = 2000
)

// ErrNoProfile says that no profile fits a query for a flame graph.
var ErrNoProfile = errors.New("no profile of this kind is in the window")

// Flame sums up the profiles that fit q, whose Type has to be set.
func (w *Window) Flame(ctx context.Context, q ProfileQuery) (FlameResult, error) {
	q.Limit = maxMerged
	found, err := w.Profiles(ctx, q)
	if err != nil {
		return FlameResult{}, err
	}
	select {
	case w.flames <- struct{}{}:
		defer func() { <-w.flames }()
	case <-ctx.Done():
		return FlameResult{}, ctx.Err()
	}
	return sumUp(ctx, found, q.Type)
}

// sumUp makes a flame graph of values of one type.
func sumUp(ctx context.Context, found []Profile, of string) (FlameResult, error) {
	r := FlameResult{Type: of, Root: &Flame{Name: "total"}}
	functions := map[string]*Function{}
	for _, p := range found {
		if err := ctx.Err(); err != nil {
			return FlameResult{}, err // whoever asked has gone
		}
		parsed, err := parsePprof(p.raw)
		if err != nil {
			return FlameResult{}, err // it could be read when it came
		}
		i := slices.IndexFunc(parsed.SampleType, func(t *pprof.ValueType) bool { return t.Type == of })
		if i < 0 || r.Unit != "" && parsed.SampleType[i].Unit != r.Unit {
			continue
		}
		r.Unit = parsed.SampleType[i].Unit
		r.Profiles++
		for _, sample := range parsed.Sample {
			r.Root.add(sample, i)
			count(functions, sample, i)
		}
	}
	if r.Profiles == 0 {
		return FlameResult{}, ErrNoProfile
	}
	r.Root.finish(max(1, r.Root.Value/flameShare))
	r.Functions = largest(functions)
	return r, nil
}

// add adds the i-th value of a sample. Its first location is the innermost, and
// so is the first line of a location with inlined functions.
func (f *Flame) add(sample *pprof.Sample, i int) {
	v := sample.Value[i]
	if v <= 0 {
		return
	}
	f.Value += v
	depth := 0
	for _, location := range slices.Backward(sample.Location) {
		for _, line := range slices.Backward(location.Line) {
			if depth++; line.Function == nil || depth > maxDepth {
				continue
			}
			f = f.child(line.Function.Name)
			f.Value += v
		}
	}
	f.Self += v
}

// count adds the i-th value of a sample to the functions in its stack, to each
// once, however often it called itself.
func count(functions map[string]*Function, sample *pprof.Sample, i int) {
	v := sample.Value[i]
	if v <= 0 {
		return
	}
	seen := map[string]bool{}
	for _, location := range sample.Location {
		for _, line := range location.Line {
			if line.Function == nil || seen[line.Function.Name] {
				continue
			}
			name := line.Function.Name
			if functions[name] == nil {
				functions[name] = &Function{Name: name}
			}
			functions[name].Total += v
			if len(seen) == 0 {
				functions[name].Self += v
			}
			seen[name] = true
		}
	}
}

func largest(functions map[string]*Function) []Function {
	all := make([]Function, 0, len(functions))
	for _, f := range functions {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b Function) int {
		return cmp.Or(cmp.Compare(b.Self, a.Self), cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name))
	})
	return slices.Clip(all[:min(len(all), maxFunctions)])
}

func (f *Flame) child(name string) *Flame {
	if f.byName == nil {
		f.byName = map[string]*Flame{}
	}
	c := f.byName[name]
	if c == nil {
		c = &Flame{Name: name}
		f.byName[name] = c
		f.Children = append(f.Children, c)
	}
	return c
}

// finish sorts what f called and leaves out what is smaller than least.
func (f *Flame) finish(least int64) {
	f.byName = nil
	f.Children = slices.DeleteFunc(f.Children, func(c *Flame) bool { return c.Value < least })
	slices.SortFunc(f.Children, func(a, b *Flame) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name))
	})
	for _, c := range f.Children {
		c.finish(least)
	}
}
