// Package promname turns names of OpenTelemetry into those of Prometheus: of metrics,
// with their units and suffixes, and of labels.
package promname

import (
	"slices"
	"strings"
	"unicode"
)

// Kind is the part of a metric's type that shows in its name.
type Kind int

// The kinds of metrics.
const (
	Other   Kind = iota
	Gauge        // a ratio if its unit is 1
	Counter      // a monotonic sum: _total
)

// Metric is the name of a metric with its unit and its kind as suffixes, as
// Prometheus has them, or without.
func Metric(name, unit string, kind Kind, suffixes bool) string {
	if !suffixes {
		return notFirstDigit(joined(name, func(r rune) bool { return alphanumeric(r) || r == '_' || r == ':' }))
	}
	words := strings.FieldsFunc(name, func(r rune) bool { return !alphanumeric(r) })
	amount, per, _ := strings.Cut(unit, "/")
	if amount = word(amount, unitWord); amount != "" && !slices.Contains(words, amount) {
		words = append(words, amount)
	}
	if per = word(per, perWord); per != "" && !slices.Contains(words, per) {
		words = append(words, "per", per)
	}
	switch {
	case kind == Counter:
		words = last(words, "total")
	case kind == Gauge && unit == "1":
		words = last(words, "ratio")
	}
	return notFirstDigit(strings.Join(words, "_"))
}

// last moves a word to the end, or appends it.
func last(words []string, word string) []string {
	return append(slices.DeleteFunc(words, func(w string) bool { return w == word }), word)
}

// joined is text with an underscore in the place of each run of runes that are not
// allowed, and none at its ends.
func joined(text string, allowed func(rune) bool) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return !allowed(r) }), "_")
}

func alphanumeric(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func notFirstDigit(name string) string {
	if name != "" && unicode.IsDigit(rune(name[0])) {
		return "_" + name
	}
	return name
}

// word is a part of a unit in words. In braces, it is a note, not a unit.
func word(part string, known func(string) (string, bool)) string {
	part = strings.TrimSpace(part)
	if strings.ContainsAny(part, "{}") {
		return ""
	}
	if w, ok := known(part); ok {
		part = w
	}
	return joined(part, alphanumeric)
}

// unitWord is a unit of UCUM in words.
func unitWord(unit string) (string, bool) {
	for _, u := range units() {
		if u.ucum == unit {
			return u.word, true
		}
	}
	return "", unit == "1"
}

// perWord is a unit of time of UCUM, after a slash, in words.
func perWord(unit string) (string, bool) {
	for _, u := range times() {
		if u.ucum == unit {
			return u.word, true
		}
	}
	return "", false
}

type unit struct{ ucum, word string }

func units() [25]unit {
	return [...]unit{
		{"d", "days"}, {"h", "hours"}, {"min", "minutes"}, {"s", "seconds"},
		{"ms", "milliseconds"}, {"us", "microseconds"}, {"ns", "nanoseconds"},
		{"By", "bytes"}, {"KiBy", "kibibytes"}, {"MiBy", "mebibytes"}, {"GiBy", "gibibytes"}, {"TiBy", "tibibytes"},
		{"KBy", "kilobytes"}, {"MBy", "megabytes"}, {"GBy", "gigabytes"}, {"TBy", "terabytes"},
		{"m", "meters"}, {"V", "volts"}, {"A", "amperes"}, {"J", "joules"}, {"W", "watts"}, {"g", "grams"},
		{"Cel", "celsius"}, {"Hz", "hertz"}, {"%", "percent"},
	}
}

func times() [7]unit {
	return [...]unit{{"s", "second"}, {"m", "minute"}, {"h", "hour"}, {"d", "day"}, {"w", "week"}, {"mo", "month"}, {"y", "year"}}
}

// Unit is a unit of Prometheus, such as "bytes_per_second", as UCUM has it.
func Unit(words string) string {
	amount, per, rate := strings.Cut(words, "_per_")
	if amount == "ratio" {
		amount = "1"
	}
	for _, u := range units() {
		if u.word == amount {
			amount = u.ucum
			break
		}
	}
	if !rate || per == "" {
		return amount
	}
	for _, u := range times() {
		if u.word == per {
			per = u.ucum
			break
		}
	}
	return amount + "/" + per
}

// Label is the name of a label for the attribute of that name.
func Label(name string) string {
	if plain(name) {
		return name
	}
	name = strings.Map(func(r rune) rune {
		if alphanumeric(r) {
			return r
		}
		return '_'
	}, name)
	switch {
	case name == "":
		return ""
	case unicode.IsDigit(rune(name[0])):
		return "key_" + name
	case name[0] == '_' && !strings.HasPrefix(name, "__"):
		return "key" + name
	}
	return name
}

// plain reports whether a name is a label's as it is.
func plain(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}
