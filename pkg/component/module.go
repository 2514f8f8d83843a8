package component

import "context"

// Module is the text of a module: declarations that others may use.
type Module struct {
	// Key tells where the module comes from: modules of one key are the same, so
	// that one which imports itself is found.
	Key string
	// Path is what module_path is within it; "" means what it is outside of it.
	Path  string
	Files []ModuleFile
}

// ModuleFile is one file of a module.
type ModuleFile struct {
	Name string // for messages
	Text []byte
}

// Load puts a configuration in force that runs beside the one that a block belongs to,
// in a module that is called like the block. It is all or nothing: after an error, what
// ran before runs on. Without files, nothing of it runs any more.
type Load func(ctx context.Context, files []ModuleFile) error
