package graph

import (
	"maps"
	"slices"
	"strings"

	"collector/pkg/config"
)

// names are the components that a module declares and imports. Those of the
// modules around it are visible too.
type names struct {
	outer    *names
	declared map[string]*declaration
	imported map[string]*names // by namespace; nil until the module has been read
	// broken means that some of the module's text cannot be read, so that it may
	// declare more than these.
	broken bool
}

// declaration is a block declare, with what is visible there.
type declaration struct {
	block  *config.Block
	names  *names
	vars   map[string]value // module_path
	within []enclosing
}

// declare notes what a block of s makes visible.
func (s *scope) declare(block *config.Block) {
	switch {
	case block.Name == "declare" && block.Label != "" && s.names.declared[block.Label] == nil:
		if s.names.declared == nil {
			s.names.declared = map[string]*declaration{}
		}
		s.names.declared[block.Label] = &declaration{block: block, names: s.names, vars: s.module(), within: s.within}
	case isImport(block.Name) && block.Label != "":
		if s.names.imported == nil {
			s.names.imported = map[string]*names{}
		}
		s.names.imported[block.Label] = nil
	}
}

func isImport(name string) bool { return strings.HasPrefix(name, "import.") }

// module is what is visible in all of a module's scopes: module_path.
func (s *scope) module() map[string]value {
	for at := s; at != nil; at = at.outer {
		if v, ok := at.vars["module_path"]; ok {
			return map[string]value{"module_path": v}
		}
	}
	return map[string]value{}
}

// isCustom reports whether a block of this name is a custom component, whether or
// not that is declared.
func (s *scope) isCustom(name string) bool {
	first, _, imported := strings.Cut(name, ".")
	for at := s.names; at != nil; at = at.outer {
		if _, ok := at.imported[first]; ok && imported {
			return true
		}
		if at.declared[name] != nil {
			return true
		}
	}
	return false
}

// find returns the declaration of the custom component called name. Without one,
// broken reports whether there may be one that could not be read.
func (n *names) find(name string) (d *declaration, broken bool) {
	first, rest, _ := strings.Cut(name, ".")
	for at := n; at != nil; at = at.outer {
		if d := at.declared[name]; d != nil {
			return d, false
		}
		if module, ok := at.imported[first]; ok && rest != "" {
			if module == nil {
				return nil, true
			}
			return module.declared[rest], module.broken
		}
	}
	return nil, n.broken
}

// all are the names of all custom components that are visible.
func (n *names) all() []string {
	var out []string
	for at := n; at != nil; at = at.outer {
		out = slices.AppendSeq(out, maps.Keys(at.declared))
		for namespace, module := range at.imported {
			if module != nil {
				for name := range module.declared {
					out = append(out, namespace+"."+name)
				}
			}
		}
	}
	return out
}

// imported are the ids of the imports of s that have to be read before block can
// be built: those whose components it, or what it is declared to be, consists of.
func (s *scope) imported(block *config.Block) []string {
	if s.library || isImport(block.Name) || s.own(block.Name) && block.Name != "foreach" {
		return nil
	}
	var ids []string
	seen := map[*config.Block]bool{}
	var visit func(name string, body func() []*config.Block)
	visit = func(name string, body func() []*config.Block) {
		first, _, dotted := strings.Cut(name, ".")
		if _, ok := s.names.imported[first]; ok && dotted {
			for _, b := range s.blocks {
				if isImport(b.Name) && b.Label == first && !slices.Contains(ids, b.ID()) {
					ids = append(ids, b.ID())
				}
			}
		} else if d := s.names.declared[name]; d != nil && !seen[d.block] {
			seen[d.block] = true
			body = d.block.Blocks
		}
		if body == nil {
			return
		}
		for _, inner := range body() {
			below := inner.Blocks
			if !s.own(inner.Name) && inner.Name != "template" {
				below = nil // its blocks are its arguments
			}
			visit(inner.Name, below)
		}
	}
	if block.Name == "foreach" {
		visit(block.Name, block.Blocks)
	} else {
		visit(block.Name, nil)
	}
	return ids
}
