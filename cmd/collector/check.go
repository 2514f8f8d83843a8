package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"collector/pkg/admin"
	"collector/pkg/config"
	"collector/pkg/docker"
	"collector/pkg/graph"
	"collector/pkg/listen"
	"collector/pkg/logging"
)

// validate checks a configuration as `run` would load it, but binds no port
// and starts nothing. It may be for another machine: files and variables that this
// one lacks are warnings.
func validate(args []string, out, errOut io.Writer) error {
	set := pflag.NewFlagSet("validate", pflag.ContinueOnError)
	set.SetOutput(errOut)
	describe(set, "validate PATH checks a configuration, which is a file or a directory of *.alloy files, without running\nit. It reports all errors and warnings, with file and line.")
	format := formatFlags(set)
	strict := set.Bool("strict", false, "treat files and environment variables missing on this machine as errors instead of warnings")
	if err := set.Parse(args); err != nil {
		return err
	}
	if err := format.check(); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return fmt.Errorf("validate takes one path, a file or a directory of *.alloy files; got %d", set.NArg())
	}
	options := checkOptions()
	options.Strict = *strict
	file, err := format.promtailFile(set.Arg(0))
	if err == nil && file != nil {
		err = file.validate(options, errOut)
	} else if err == nil {
		err = validateSources(set.Arg(0), options, errOut)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is valid\n", set.Arg(0))
	return nil
}

func validateSources(path string, o graph.Options, errOut io.Writer) error {
	sources, err := config.Read(path)
	if err != nil {
		return err
	}
	diagnostics := graph.Check(o, sources)
	fmt.Fprint(errOut, diagnostics.String())
	if diagnostics.Err() != nil {
		return exit{1}
	}
	return nil
}

// checkOptions are options that reach and store nothing.
func checkOptions() graph.Options {
	log := logging.New(io.Discard)
	return graph.Options{
		Kinds: valueKinds(), Definitions: components(log, &admin.Access{}, nil, nil), LeftOut: leftOut(), StoragePath: os.TempDir(), Version: version, UserAgent: userAgent(),
		Logger: log.Logger(), Docker: docker.NewPool(log.Logger()), Listeners: listen.NewPool(),
	}
}

// format prints a file in the one format that configurations have, writes it
// back (-w), or reports whether it is in it (-t).
func format(args []string, in io.Reader, out io.Writer) error {
	set := pflag.NewFlagSet("fmt", pflag.ContinueOnError)
	set.SetOutput(out)
	describe(set, "fmt [FILE] formats a configuration file, or standard input, and prints the result.")
	write := set.BoolP("write", "w", false, "write the result back to the file")
	test := set.BoolP("test", "t", false, "print nothing; fail if the file is not formatted")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 1 || *write && (set.NArg() == 0 || set.Arg(0) == "-") {
		return fmt.Errorf("fmt takes at most one file; -w requires one")
	}
	source := config.Source{Name: "<stdin>"}
	var err error
	if set.NArg() == 0 || set.Arg(0) == "-" {
		source.Text, err = io.ReadAll(in)
	} else {
		source.Name = set.Arg(0)
		source.Text, err = os.ReadFile(source.Name)
	}
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	text, err := config.Format(source)
	switch {
	case err != nil:
		return err
	case *write && bytes.Equal(text, source.Text):
		return nil
	case *test:
		if string(text) != string(source.Text) {
			return fmt.Errorf("%s is not formatted; `collector fmt -w %s` fixes it", source.Name, source.Name)
		}
		return nil
	case *write:
		return rewrite(source.Name, text)
	}
	_, err = out.Write(text)
	return err
}

// rewrite replaces a file's content and keeps its mode. It does so all or nothing, so
// that a full disk never destroys a configuration, unless only the file itself is
// writable, as when it alone is mounted.
func rewrite(path string, text []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	err = replace(path, text, info.Mode().Perm())
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EBUSY) {
		return os.WriteFile(path, text, info.Mode().Perm())
	}
	return err
}

func replace(path string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // which no longer exists if all went well
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
