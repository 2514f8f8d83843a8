package profiles

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// The labels that have a meaning of their own.
const (
	labelName        = "__name__"
	labelServiceName = "service_name"
	labelAppName     = "app_name"
	labelDelta       = "__delta__"
)

// labelSet is the labels of a profile; the application name is labelName.
type labelSet map[string]string

var errNoName = errors.New("the query names no application: it needs a parameter such as name=app or name=app{label=value}")

// parseName reads a Pyroscope application name, "app{label=value,label=value}", exactly
// as leniently as Pyroscope itself: blanks around names and values do not count, the last
// of several equal labels wins, a pair that does not end is ignored, and so is what
// follows a closing brace unless it makes a pair.
func parseName(s string) (labelSet, error) {
	if !utf8.ValidString(s) {
		s = string([]rune(s)) // each bad byte becomes U+FFFD
	}
	app, rest, _ := strings.Cut(s, "{")
	app = strings.TrimSpace(app)
	if err := checkApplicationName(app); err != nil {
		return nil, err
	}
	set := labelSet{labelName: app}
	for {
		end := strings.IndexAny(rest, "=}")
		if end < 0 || rest[end] == '}' {
			return set, nil
		}
		key := strings.TrimSpace(rest[:end])
		rest = rest[end+1:]
		if end = strings.IndexAny(rest, ",}"); end < 0 {
			return set, nil
		}
		if key != labelName {
			if err := checkLabelName(key); err != nil {
				return nil, err
			}
		}
		set[key] = strings.TrimSpace(rest[:end])
		rest = rest[end+1:]
	}
}

// String writes the set in the one form that Pyroscope calls normal.
func (s labelSet) String() string {
	var b strings.Builder
	b.WriteString(s[labelName])
	separator := byte('{')
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if key == labelName {
			continue
		}
		b.WriteByte(separator)
		b.WriteString(key)
		b.WriteByte('=')
		b.WriteString(s[key])
		separator = ','
	}
	if separator == '{' {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.String()
}

func checkApplicationName(name string) error {
	if name == "" {
		return errors.New("the application name is empty")
	}
	for _, r := range name {
		if r != '-' && r != '/' && !isLabelNameRune(r) {
			return fmt.Errorf("the application name %.40q has the character %q: only letters, digits and . _ - / are allowed", name, r)
		}
	}
	return nil
}

func checkLabelName(name string) error {
	if name == "" {
		return errors.New("a label has no name")
	}
	for _, r := range name {
		if !isLabelNameRune(r) {
			return fmt.Errorf("the label name %.40q has the character %q: only letters, digits and . _ are allowed", name, r)
		}
	}
	return nil
}

func isLabelNameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '.'
}

// ensureServiceName gives the set a service_name: its application name. A set
// that has one keeps it, and its application name becomes app_name.
func (s labelSet) ensureServiceName() {
	if _, ok := s[labelServiceName]; ok {
		s[labelAppName] = s[labelName]
	} else {
		s[labelServiceName] = s[labelName]
	}
	maps.DeleteFunc(s, func(_, value string) bool { return value == "" })
}

// check reports what no Pyroscope would accept.
func (s labelSet) check() error {
	if len(s) == 0 {
		return errors.New("the profile has no labels: it needs a service_name or an application name")
	}
	for key, value := range s {
		if !utf8.ValidString(value) {
			return fmt.Errorf("the value %.40q of label %.40q is not valid UTF-8", value, key)
		}
		if key == labelName {
			continue
		}
		if err := checkLabelName(key); err != nil {
			return err
		}
	}
	return nil
}

// settle reports what cannot be written as an application name. The name of the
// service is used where one is missing.
func (s labelSet) settle() error {
	if s[labelName] == "" {
		s[labelName] = s[labelServiceName]
	}
	for key, value := range s {
		if strings.ContainsAny(value, ",}") {
			return fmt.Errorf("the value %.40q of label %.40q has a ',' or a '}', which Pyroscope's application names cannot hold", value, key)
		}
	}
	return checkApplicationName(s[labelName])
}

// add puts external labels in place of equal ones. An empty value removes.
func (s labelSet) add(external map[string]string) {
	for key, value := range external {
		if value == "" {
			delete(s, key)
		} else {
			s[key] = value
		}
	}
}

// change makes the labels of a profile into others. It may modify the set.
type change func(set labelSet) (labelSet, error)

// ingested is the change to the labels of an ingest request that is delivered:
// unless they are named already, they get a service_name; and the external labels.
func ingested(named bool, external map[string]string) change {
	return func(set labelSet) (labelSet, error) {
		if !named {
			set.ensureServiceName()
		}
		// The service name is in front, except where it could not: there the backend
		// would reject what it accepts from a client that pushes directly.
		if service := set[labelServiceName]; checkApplicationName(service) == nil {
			set[labelName] = service
		}
		if err := set.check(); err != nil {
			return nil, err
		}
		set.add(external)
		return set, checkApplicationName(set[labelName])
	}
}

// changeName makes an application name into another. A name whose labels stay as
// they are is returned as it is.
func changeName(name string, to change) (string, error) {
	parsed, err := parseName(name)
	if err != nil {
		return "", err
	}
	set, err := to(maps.Clone(parsed))
	if err != nil {
		return "", err
	}
	if maps.Equal(set, parsed) {
		return name, nil
	}
	return set.String(), nil
}

// changeQuery does changeName to the parameter "name" of the raw query of an
// ingest request, and leaves every other byte of the query alone.
func changeQuery(query string, to change) (string, error) {
	pairs := strings.Split(query, "&")
	at, name := -1, ""
	for i, pair := range pairs {
		if value, ok := queryName(pair); ok {
			at, name = i, value
			break
		}
	}
	if name == "" {
		return "", errNoName
	}
	changed, err := changeName(name, to)
	if err != nil {
		return "", err
	}
	if changed == name {
		return query, nil
	}
	// Pyroscope reads the first; further ones would only confuse.
	pairs = slices.DeleteFunc(pairs, func(pair string) bool {
		_, ok := queryName(pair)
		return ok
	})
	pairs = slices.Insert(pairs, at, "name="+url.QueryEscape(changed))
	return strings.Join(pairs, "&"), nil
}

// queryName returns the value of a query pair whose key is "name". A pair that net/url
// would skip is ignored.
func queryName(pair string) (string, bool) {
	if strings.Contains(pair, ";") {
		return "", false
	}
	key, value, _ := strings.Cut(pair, "=")
	if key, err := url.QueryUnescape(key); err != nil || key != "name" {
		return "", false
	}
	value, err := url.QueryUnescape(value)
	return value, err == nil
}
