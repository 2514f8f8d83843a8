package secretfilter

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"

	"collector/pkg/component"
)

// builtIn are the rules of Gitleaks.
//
//go:embed vendor/gitleaks/gitleaks.toml
var builtIn string

// genericRule is the rule that include_generic adds, after all others.
const genericRule = "generic-api-key"

// What the label source of a metric says of a list of what is allowed.
const (
	fromConfig   = "alloy config"
	fromGitleaks = "gitleaks config"
)

// file is a configuration of Gitleaks, as far as it is read.
type file struct {
	AllowList list
	Rules     []struct {
		ID          string
		Regex       string
		SecretGroup int
		Entropy     float64
		Allowlist   list
		Allowlists  []list
	}
}

type list struct{ Regexes []string }

// rule finds one type of secret.
type rule struct {
	name    string
	regex   *regexp.Regexp
	group   int // that is the secret; 0: the only one, or all
	entropy float64
	allowed []allowed
}

// allowed is what looks like a secret and is not one.
type allowed struct {
	regex  *regexp.Regexp
	source string
}

// rules are what a component looks for.
type rules struct {
	list    []rule
	allowed []allowed
	// Rules of which no text is known that a match has are tried on lines with a run.
	others []int // indices
	runs   []run // of each of them
	texts  *automaton
}

// readFile reads the file of gitleaks_config, or the built-in one.
func readFile(path string) (f file, err error) {
	text := builtIn
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return f, component.At("gitleaks_config", err)
		}
		text = string(data)
	}
	if _, err := toml.Decode(text, &f); err != nil {
		return f, component.At("gitleaks_config", fmt.Errorf("read %s: %w", path, err))
	}
	return f, nil
}

// newRules makes the rules that c wants.
func newRules(c *Config, warn func(rule, why string)) (*rules, error) {
	f, err := readFile(c.GitleaksConfig)
	if err != nil {
		return nil, err
	}
	out := &rules{}
	if out.allowed, err = compileAll(nil, c.AllowList, fromConfig); err != nil {
		return nil, component.At("allowlist", err)
	}
	if out.allowed, err = compileAll(out.allowed, f.AllowList.Regexes, fromGitleaks); err != nil {
		return nil, component.At("gitleaks_config", err)
	}
	var last []rule
	for _, r := range f.Rules {
		if r.Regex == "" || !c.wants(r.ID) {
			continue
		}
		made := rule{name: r.ID, group: r.SecretGroup, entropy: r.Entropy}
		if made.regex, err = regexp.Compile(r.Regex); err != nil {
			return nil, component.At("gitleaks_config", fmt.Errorf("rule %q: %w", r.ID, err))
		}
		if why := made.unfit(c); why != nil {
			warn(r.ID, why.Error())
			continue
		}
		regexes := r.Allowlist.Regexes
		for _, l := range r.Allowlists {
			regexes = append(regexes, l.Regexes...)
		}
		if made.allowed, err = compileAll(nil, regexes, "rule "+r.ID); err != nil {
			return nil, component.At("gitleaks_config", fmt.Errorf("rule %q: %w", r.ID, err))
		}
		switch {
		case !strings.EqualFold(r.ID, genericRule):
			out.list = append(out.list, made)
		case c.IncludeGeneric:
			last = []rule{made}
		}
	}
	out.list = append(out.list, last...)
	out.index()
	return out, nil
}

// compileAll appends expressions of what is no secret to all.
func compileAll(all []allowed, expressions []string, source string) ([]allowed, error) {
	for _, text := range expressions {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, err
		}
		all = append(all, allowed{re, source})
	}
	return all, nil
}

// unfit is why a rule cannot be used.
func (r *rule) unfit(c *Config) error {
	redacted := c.RedactWith
	if redacted == "" {
		redacted = defaultRedaction
	}
	switch {
	case r.regex.MatchString(""):
		return errors.New("it matches an empty text")
	case r.regex.MatchString(strings.ReplaceAll(redacted, nameVariable, r.name)):
		return errors.New("it matches what replaces secrets")
	}
	return nil
}

// wants reports whether the rule of that name is among types.
func (c *Config) wants(name string) bool {
	for _, t := range c.Types {
		if strings.HasPrefix(strings.ToLower(name), strings.ToLower(t)) {
			return true
		}
	}
	return len(c.Types) == 0
}

// index collects what a line must contain for a rule to match.
func (r *rules) index() {
	texts := make([][]string, len(r.list))
	for i := range r.list {
		expression := r.list[i].regex.String()
		if texts[i] = required(expression); len(texts[i]) == 0 {
			r.others, r.runs = append(r.others, i), append(r.runs, requiredRun(expression))
		}
	}
	r.texts = newAutomaton(texts)
}

// odd are letters that case-insensitive expressions treat as s and k.
const odd = "\u017f\u212a"

// mark sets those rules in set that can match a line.
func (r *rules) mark(set []bool, line string) (any bool) {
	if strings.ContainsAny(line, odd) {
		for i := range set {
			set[i] = true
		}
		return len(set) > 0
	}
	for i, rule := range r.others {
		if r.runs[i].in(line) {
			set[rule], any = true, true
		}
	}
	r.texts.each(line, func(i int) { set[i], any = true, true })
	return any
}

// secret is the secret in a match.
func (r *rule) secret(line string, match []int) string {
	group := 0
	if r.group > 0 && 2*r.group < len(match) {
		group = r.group
	} else if len(match) == 4 {
		group = 1
	}
	if match[2*group] < 0 {
		return ""
	}
	return line[match[2*group]:match[2*group+1]]
}

// allows returns the exception that applies to a match; nil: the match is a secret.
func (r *rules) allows(of *rule, secret string) *allowed {
	for _, all := range [][]allowed{r.allowed, of.allowed} {
		for i := range all {
			if all[i].regex.MatchString(secret) {
				return &all[i]
			}
		}
	}
	return nil
}
