package process

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"collector/pkg/component"
	"collector/pkg/logs/expression"

	"github.com/jmespath-community/go-jmespath"
	jsoniter "github.com/json-iterator/go"
)

// JSONConfig is the block stage.json.
type JSONConfig struct {
	Expressions   map[string]string `alloy:"expressions,attr,optional"`
	Source        *string           `alloy:"source,attr,optional"`
	DropMalformed bool              `alloy:"drop_malformed,attr,optional"`
	Regex         string            `alloy:"regex,attr,optional"`
}

// Validate reports settings that can't work.
func (c *JSONConfig) Validate() error {
	_, err := newJSON(*c)
	return err
}

// jsonStage extracts values of JSON by JMESPath expressions.
type jsonStage struct {
	names       []string
	expressions []jmespath.JMESPath    // in the order of names
	paths       *jsonPaths             // nil if an expression is more than a path
	keys        *expression.Expression // of the object that are extracted, too; nil: none
	source      string
	drop        bool
	json        jsoniter.API
}

func newJSON(c JSONConfig) (Stage, error) {
	if len(c.Expressions) == 0 && c.Regex == "" {
		return nil, component.At("expressions", errors.New("it must not be empty, unless regex is set"))
	}
	s := &jsonStage{drop: c.DropMalformed, json: jsoniter.Config{EscapeHTML: true, SortMapKeys: true}.Froze()}
	var err error
	if s.source, err = optionalSource(c.Source); err != nil {
		return nil, err
	}
	for name := range c.Expressions {
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	var texts []string
	for _, name := range s.names {
		text := c.Expressions[name]
		if text == "" {
			text = name
		}
		compiled, err := compileJMESPath(text)
		if err != nil {
			return nil, component.At("expressions", fmt.Errorf("%q of %q: %w", text, name, err))
		}
		s.expressions = append(s.expressions, compiled)
		texts = append(texts, text)
	}
	if c.Regex != "" {
		s.keys, err = compile("regex", c.Regex)
		return s, err
	}
	s.paths = newJSONPaths(texts)
	return s, nil
}

// compileJMESPath compiles an expression; the library panics on some that are
// wrong.
func compileJMESPath(text string) (compiled jmespath.JMESPath, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not a JMESPath expression: %v", r)
		}
	}()
	return jmespath.Compile(text)
}

func (s *jsonStage) Process(e *Entry, emit Emit) {
	text, ok := e.input(s.source)
	if ok && !s.read(e, text) && s.drop {
		return
	}
	emit(e)
}

// read extracts the values. It returns false for malformed text.
func (s *jsonStage) read(e *Entry, text string) bool {
	if s.paths != nil && s.paths.find(text) {
		for i, name := range s.names {
			e.Extracted.Set(name, s.paths.values[i])
		}
		return true
	}
	var data map[string]any
	if s.json.UnmarshalFromString(text, &data) != nil {
		return false
	}
	if s.keys != nil {
		s.matching(e, data)
	}
	for i, name := range s.names {
		if v, ok := s.search(s.expressions[i], data); ok {
			e.Extracted.Set(name, v)
		}
	}
	return true
}

// matching extracts the values whose keys match.
func (s *jsonStage) matching(e *Entry, data map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if !s.keys.MatchString(key) {
			continue
		}
		if v, ok := s.value(data[key]); ok {
			e.Extracted.Set(key, v)
		}
	}
}

// search evaluates an expression. It fails where the expression doesn't fit the
// data.
func (s *jsonStage) search(expression jmespath.JMESPath, data map[string]any) (v Value, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	found, err := expression.Search(data)
	if err != nil {
		return v, false
	}
	return s.value(found)
}

// value is what is found, as it is extracted.
func (s *jsonStage) value(found any) (v Value, ok bool) {
	switch found := found.(type) {
	case nil:
		return Null(), true
	case string:
		return Text(found), true
	case float64:
		return Number(found), true
	case bool:
		return Bool(found), true
	}
	text, err := s.json.MarshalToString(found)
	return Text(text), err == nil
}
