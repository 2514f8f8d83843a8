package explore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Flame is a node of a flame graph: a function, the values of the samples in it
// and below, and the functions that it called, the largest first.
type Flame struct {
	Name     string   `json:"name"`
	Value    int64    `json:"value"`
	Self     int64    `json:"self"`
	Children []*Flame `json:"children,omitempty"`

	by map[*counted]*Flame
}

// FlameResult is the sum of some profiles.
type FlameResult struct {
	Type     string `json:"type"`
	Unit     string `json:"unit"`
	Profiles int    `json:"profiles"`
	Root     *Flame `json:"root"`
	// Functions are those with the largest values of their own, at most 100.
	Functions []Function `json:"functions"`
	// Cut tells that there was too much to be summed up: the oldest profiles, or
	// functions that came last, are not in it.
	Cut bool `json:"cut,omitempty"`
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
	maxFlames = 1
	// maxSummed is how many bytes of unpacked profiles a flame graph sums up,
	// and maxFrames how many functions in their stacks.
	maxSummed = 64 << 20
	maxFrames = 30_000_000
	// minSum and maxSum bound the memory of a tree in the making, in which a
	// node takes about nodeSize bytes besides its name.
	minSum   = 8 << 20
	maxSum   = 32 << 20
	nodeSize = 250
	// flameShare is the share of the whole below which a function is omitted,
	// with what it called: it would be too narrow to be seen.
	flameShare = 2000
)

// ErrNoProfile says that no profile fits a query for a flame graph.
var ErrNoProfile = errors.New("no profile of this kind is in the window")

// Flame sums up the profiles that fit q, whose Type has to be set. The answer
// may be given to others as well.
func (w *Window) Flame(ctx context.Context, q ProfileQuery) (FlameResult, error) {
	q.Limit = maxMerged
	found, err := w.Profiles(ctx, q)
	if err != nil {
		return FlameResult{}, err
	}
	of := sumOf(found, q.Type)
	if r, ok := w.sums.get(of); ok {
		return r, ctx.Err()
	}
	select {
	case w.flames <- struct{}{}:
		defer func() { <-w.flames }()
	case <-ctx.Done():
		return FlameResult{}, ctx.Err()
	}
	if r, ok := w.sums.get(of); ok { // another has made it in the meantime
		return r, ctx.Err()
	}
	r, err := sumUp(ctx, found, q.Type, w.options.MaxBytes)
	if err == nil {
		w.sums.put(of, r)
	}
	return r, err
}

// sums are the last flame graphs, for a page asks for the same one as its script
// does. They are made and kept outside the goroutine of Run.
type sums struct {
	mu   sync.Mutex
	kept []keptSum
}

type keptSum struct {
	of     string
	result FlameResult
	made   time.Time
}

const (
	// maxSums is how many flame graphs are kept, and sumAge how long.
	maxSums = 2
	sumAge  = time.Minute
)

// sumOf names the sum of profiles that are in the window. Their ids are not
// used again.
func sumOf(found []Profile, kind string) string {
	of := []byte(kind)
	for _, p := range found {
		of = strconv.AppendUint(append(of, 0), p.ID, 36)
	}
	return string(of)
}

func (s *sums) get(of string) (FlameResult, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, kept := range s.kept {
		if kept.of == of {
			return kept.result, true
		}
	}
	return FlameResult{}, false
}

func (s *sums) put(of string, r FlameResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == maxSums {
		s.kept = slices.Delete(s.kept, 0, 1)
	}
	s.kept = append(s.kept, keptSum{of, r, time.Now()})
}

// forget drops what was made before t.
func (s *sums) forget(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = slices.DeleteFunc(s.kept, func(kept keptSum) bool { return kept.made.Before(t) })
}

// sum is a flame graph in the making.
type sum struct {
	FlameResult
	functions map[string]*counted
	others    counted // all functions for which there is no room
	samples   int     // so far
	room      int     // bytes that the tree and functions may still take
	frames    int     // functions in stacks that may still be walked over
	unpacked  int     // bytes of profiles that may still be unpacked
}

type counted struct {
	Function
	sample int // the last one that it was counted in
}

// sumUp makes a flame graph of values of one type.
func sumUp(ctx context.Context, found []Profile, of string, window int) (FlameResult, error) {
	return newSum(of, window).all(ctx, found, unpackedLimit(window))
}

// all sums up profiles, each of at most limit bytes when it is unpacked.
func (s *sum) all(ctx context.Context, found []Profile, limit int) (FlameResult, error) {
	for _, p := range found {
		if err := ctx.Err(); err != nil {
			return FlameResult{}, err // whoever asked has given up
		}
		if !slices.ContainsFunc(p.Types, s.sums) {
			continue
		}
		if s.unpacked <= 0 || s.frames <= 0 {
			s.Cut = true
			break
		}
		raw, err := unpack(p.raw, limit)
		if err == nil {
			s.unpacked -= len(raw)
			err = s.add(ctx, raw)
		}
		if err != nil {
			return FlameResult{}, err // it could be read when it came
		}
	}
	if s.Profiles == 0 {
		return FlameResult{}, ErrNoProfile
	}
	s.Root.finish(max(1, s.Root.Value/flameShare))
	s.Functions = largest(s.functions)
	return s.FlameResult, nil
}

func newSum(of string, window int) *sum {
	s := &sum{functions: map[string]*counted{}, frames: maxFrames, unpacked: maxSummed}
	s.room = max(minSum, min(2*window, maxSum))
	s.Type, s.Root = of, &Flame{Name: "total"}
	return s
}

// sums reports whether values of type t belong to it.
func (s *sum) sums(t ProfileType) bool { return t.Name == s.Type && (s.Unit == "" || t.Unit == s.Unit) }

func (s *sum) add(ctx context.Context, raw []byte) error {
	parsed, err := readStacks(raw)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(parsed.types, s.sums)
	if i < 0 {
		return nil
	}
	s.Unit = parsed.types[i].Unit
	s.Profiles++
	known := make([]*counted, len(parsed.strings))
	calls := []*counted{}
	return parsed.each(ctx, true, func(at *stack) bool {
		if v := int64(at.values[i]); v > 0 {
			calls = calls[:0]
			for _, name := range at.functions {
				if known[name] == nil {
					known[name] = s.function(parsed.text(name))
				}
				calls = append(calls, known[name])
			}
			s.samples++
			s.frames -= len(calls)
			s.draw(calls, v)
			s.count(calls, v)
		}
		s.Cut = s.Cut || s.frames <= 0
		return s.frames > 0
	})
}

// takes reports whether there is room for a node or function of a name.
func (s *sum) takes(name string) bool {
	s.room -= len(name) + nodeSize
	s.Cut = s.Cut || s.room < 0
	return s.room >= 0
}

// function finds a function by its name. One represents all for which there is
// no room.
func (s *sum) function(name string) *counted {
	f := s.functions[name]
	switch {
	case f != nil:
		return f
	case !s.takes(name):
		return &s.others
	}
	f = &counted{Function: Function{Name: name}}
	s.functions[name] = f
	return f
}

// draw adds a sample to the tree. What has no room belongs to what called it,
// but is not its own.
func (s *sum) draw(stack []*counted, v int64) {
	f := s.Root
	f.Value += v
	for depth, function := range slices.Backward(stack) {
		if depth < len(stack)-maxDepth {
			break
		}
		c := f.by[function]
		if c == nil {
			if function == &s.others || !s.takes(function.Name) {
				return
			}
			c = f.child(function)
		}
		f = c
		f.Value += v
	}
	f.Self += v
}

// count adds a sample to the functions in its stack, to each once, however often
// it called itself.
func (s *sum) count(stack []*counted, v int64) {
	for i, f := range stack {
		if i == 0 {
			f.Self += v
		}
		if f.sample != s.samples {
			f.Total += v
			f.sample = s.samples
		}
	}
}

func largest(functions map[string]*counted) []Function {
	all := make([]Function, 0, len(functions))
	for _, f := range functions {
		all = append(all, f.Function)
	}
	slices.SortFunc(all, func(a, b Function) int {
		return cmp.Or(cmp.Compare(b.Self, a.Self), cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name))
	})
	return slices.Clip(all[:min(len(all), maxFunctions)])
}

func (f *Flame) child(of *counted) *Flame {
	if f.by == nil {
		f.by = map[*counted]*Flame{}
	}
	c := &Flame{Name: of.Name}
	f.by[of] = c
	f.Children = append(f.Children, c)
	return c
}

// finish sorts what f called and omits what is smaller than least.
func (f *Flame) finish(least int64) {
	f.by = nil
	f.Children = slices.DeleteFunc(f.Children, func(c *Flame) bool { return c.Value < least })
	slices.SortFunc(f.Children, func(a, b *Flame) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name))
	})
	for _, c := range f.Children {
		c.finish(least)
	}
}
