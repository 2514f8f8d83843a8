package graph

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"collector/pkg/config"
	"collector/pkg/suggest"
)

// scope is one module while it is built: the configuration itself, the body of a custom
// component, one instance of a foreach, or what an import brings. It has blocks, whose
// names are its own, and builds each after those that it depends on.
type scope struct {
	*builder
	id       string // of the component that it belongs to; "" for the configuration itself
	outer    *scope // whose values are visible too: those around a foreach
	names    *names // of the components that a configuration declares
	vars     map[string]value
	complete bool // all of its text could be read
	blocks   []*config.Block
	byID     map[string]*config.Block
	failed   map[string]bool // the ids of blocks that are in error
	exports  map[string]map[string]value
	silent   bool // the metrics of its components are not shown

	// Of a custom component: what it was given, and what it gives.
	custom  *config.Block // the block that is one; nil elsewhere
	args    map[string]value
	results map[string]value
	// library means that the module may only declare: it is imported.
	library bool
	// within are the declarations and modules that it is inside of.
	within []enclosing
}

// enclosing is what a scope is inside of: a declaration or an imported module.
type enclosing struct {
	key  any // what makes it the same one
	name string
}

func (b *builder) scope(id string, doc *config.Document) *scope {
	return &scope{
		builder: b, id: id, names: &names{}, vars: map[string]value{}, complete: doc.Complete, blocks: doc.Blocks,
		byID: map[string]*config.Block{}, failed: map[string]bool{}, exports: map[string]map[string]value{}, results: map[string]value{},
	}
}

// folderOf is the folder of a configuration's files.
func folderOf(sources []config.Source) string {
	if len(sources) == 0 {
		return ""
	}
	return filepath.Dir(sources[0].Name)
}

// global is the id of a block of s among all components.
func (s *scope) global(id string) string { return path.Join(s.id, id) }

// build builds all blocks of s.
func (s *scope) build() {
	duplicates := s.identify()
	deps := s.dependencies()
	for _, id := range order(s.ids(), deps, s.cycle) {
		if block := s.byID[id]; s.allow(block) {
			s.block(block)
		}
	}
	for _, block := range duplicates {
		s.check(block)
	}
}

// ids are the ids of all blocks, in the order of the source.
func (s *scope) ids() []string {
	var ids []string
	for _, block := range s.blocks {
		if s.byID[block.ID()] == block {
			ids = append(ids, block.ID())
		}
	}
	return ids
}

// identify sorts out blocks that cannot be built whatever is in them, and
// returns those whose name is taken.
func (s *scope) identify() (duplicates []*config.Block) {
	for i, block := range s.blocks { // first, as they declare what the others may be
		s.blocks[i] = s.unlabeled(block)
		s.declare(block)
	}
	for _, block := range s.blocks {
		id := block.ID()
		known := s.admit(block)
		first, taken := s.byID[id]
		if taken && known {
			s.report(block.At, "", "%s is defined more than once; the first is at %s", id, first.At)
			duplicates = append(duplicates, block)
		}
		if !taken {
			s.byID[id] = block
			s.new.blocks[s.global(id)] = block
		}
	}
	return duplicates
}

// unlabeled is block, without its label if it can appear only once: such a label
// means nothing.
func (s *scope) unlabeled(block *config.Block) *config.Block {
	if block.Label == "" || !s.definitions[block.Name].Singleton {
		return block
	}
	s.diagnostics = append(s.diagnostics, config.Diagnostic{
		Severity: config.Warning, At: block.LabelAt(), Message: fmt.Sprintf("the label of block %s has no effect", block.Name),
	})
	bare := *block
	bare.Label = ""
	return &bare
}

// admit reports what is wrong with the name or the label of a block. It returns
// whether the block is known at all.
func (s *scope) admit(block *config.Block) bool {
	def, known := s.definitions[block.Name]
	custom := !s.library && s.isCustom(block.Name)
	switch {
	case s.library && block.Name != "declare" && !isImport(block.Name):
		s.fail(block, block.At, "declare, import.file, import.git, import.http, import.string",
			"%s is not allowed in an imported module, which may only contain declarations", block.ID())
	case s.own(block.Name):
		known = true
		s.admitOwn(block)
	case custom:
		known = true
		if block.Label == "" {
			s.fail(block, block.At, block.Name+` "default" { ... }`, "component %s needs a label", block.Name)
		}
	case !known:
		s.failed[block.ID()] = true
		s.unknownBlock(block)
	case def.Singleton && s.id != "":
		s.fail(block, block.At, "", "block %s belongs to the configuration itself and cannot be in a module", block.Name)
	case !def.Singleton && block.Label == "":
		s.fail(block, block.At, block.Name+` "default" { ... }`, "component %s needs a label", block.Name)
	}
	return known
}

// own reports whether a block of this name is one of the language's own.
func (*scope) own(name string) bool {
	return name == "declare" || name == "argument" || name == "export" || name == "foreach"
}

func (s *scope) admitOwn(block *config.Block) {
	if block.Label == "" {
		s.fail(block, block.At, block.Name+` "name" { ... }`, "block %s needs a label", block.Name)
	}
	if (block.Name == "argument" || block.Name == "export") && s.custom == nil {
		s.fail(block, block.At, "", "%s is outside of a declare; only a custom component has arguments and exports", block.ID())
	}
}

// fail reports what is wrong with a block, which is not built then.
func (s *scope) fail(block *config.Block, at config.Range, accepted, format string, args ...any) {
	s.failed[block.ID()] = true
	s.report(at, accepted, format, args...)
}

// lack says why this build has no component of that name although it exists; "" if it
// does not exist.
func (s *scope) lack(name string) string {
	if tag := s.options.LeftOut[name]; tag != "" {
		return fmt.Sprintf("%s is not in this build of collector, which was built with the tag %s", name, tag)
	}
	if slices.Contains(alloyComponents(), name) {
		return name + " is an Alloy component that collector does not support"
	}
	return ""
}

func (s *scope) unknownBlock(block *config.Block) {
	if why := refusal(block.Name); why != "" {
		s.report(block.At, "", "%s is an Alloy component that collector does not support: %s: %s", block.Name, block.ID(), why)
		return
	}
	if alloyBlocks()[block.Name] {
		s.report(block.At, "", "%s is an Alloy block that collector does not support", block.ID())
		return
	}
	if lack := s.lack(block.Name); lack != "" {
		s.report(block.At, "", "%s: %s", lack, block.ID())
		return
	}
	var names []string
	for _, d := range s.options.Definitions {
		names = append(names, d.Name)
	}
	names = append(names, s.names.all()...)
	hint := ""
	if near := suggest.Nearest(block.Name, append(names, alloyComponents()...)); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
		if !slices.Contains(names, near) {
			hint += " (That is an Alloy component that collector does not support.)"
		}
	}
	slices.Sort(names)
	s.report(block.At, strings.Join(names, ", "), "there is no component %s%s", block.Name, hint)
}

// dependencies are, for each id, the ids of the blocks that have to be built
// before it, in the order of the source, each once.
func (s *scope) dependencies() map[string][]string {
	deps := map[string][]string{}
	for id, block := range s.byID {
		if block.Name == "declare" {
			continue
		}
		for _, ref := range block.References() {
			if to, _ := s.target(ref); to != "" && !slices.Contains(deps[id], to) {
				deps[id] = append(deps[id], to)
			}
		}
		for _, to := range s.imported(block) {
			if !slices.Contains(deps[id], to) {
				deps[id] = append(deps[id], to)
			}
		}
	}
	return deps
}

// target is the id of the block of s that ref leads to, and what of the path is
// left.
func (s *scope) target(ref config.Reference) (id string, rest []string) {
	if _, ok := s.vars[ref.Path[0]]; ok {
		return "", nil
	}
	for n := len(ref.Path); n > 0; n-- {
		id := strings.Join(ref.Path[:n], ".")
		if s.byID[id] != nil {
			return id, ref.Path[n:]
		}
	}
	return "", nil
}

// cycle reports that the blocks of ids refer to each other in a cycle.
func (s *scope) cycle(ids []string) {
	for _, id := range ids {
		s.failed[id] = true
	}
	at := s.byID[ids[0]].At
	next := ids[1%len(ids)]
	for _, ref := range s.byID[ids[0]].References() {
		if to, _ := s.target(ref); to == next {
			at = ref.At
			break
		}
	}
	if len(ids) == 1 {
		s.report(at, "", "%s refers to itself", ids[0])
		return
	}
	s.report(at, "", "components refer to each other in a cycle: %s", strings.Join(append(ids, ids[0]), " → "))
}
