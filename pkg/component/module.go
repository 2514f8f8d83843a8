package component

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
