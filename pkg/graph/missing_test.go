package graph

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/pipeline"
)

// keeperConfig is a toy with files: it reads ca_file when it is made, and
// password_file later.
type keeperConfig struct {
	TLS       []keeperTLS         `alloy:"tls,block,optional"`
	Password  string              `alloy:"password_file,attr,optional,file"`
	Port      int                 `alloy:"port,attr,optional"`
	Region    string              `alloy:"region,attr,optional"`
	ForwardTo []pipeline.LogsSink `alloy:"forward_to,attr,optional"`
}

type keeperTLS struct {
	CA      string `alloy:"ca_file,attr,optional,file"`
	Version string `alloy:"version,attr,optional"`
}

func (c *keeperConfig) SetToDefault() { c.Region = "eu" }

func (c *keeperConfig) Validate() error {
	if c.Region == "" {
		return component.At("region", errors.New("is empty"))
	}
	return nil
}

type toyKeeper struct{ toyLogs }

func (t *toys) newKeeper(c keeperConfig, o component.Options) (*toyKeeper, error) {
	var errs []error
	for i, tls := range c.TLS {
		if tls.CA != "" {
			_, err := os.ReadFile(tls.CA)
			errs = append(errs, component.At(component.Block("tls", i)+"/ca_file", err))
		}
		if tls.Version == "9" {
			errs = append(errs, component.At(component.Block("tls", i)+"/version", errors.New("is too high")))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &toyKeeper{toyLogs{t.base(o)}}, nil
}

func keeperOptions() Options {
	t := newToys()
	return Options{Kinds: toyKinds(), Definitions: append(t.definitions(), component.Define("toy.keeper", t.newKeeper, component.Doc{
		Exports: []component.Export{{Name: "receiver", Type: "LogsReceiver"}, {Name: "content", Type: "string"}},
	}))}
}

// said is what Check says of text, a line for each diagnostic.
func said(o Options, text string) []string {
	var lines []string
	for _, d := range Check(o, []config.Source{{Name: "f", Text: []byte(text)}}) {
		lines = append(lines, d.Error())
	}
	return lines
}

func expect(t *testing.T, text string, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s\ngot %d diagnostics:\n%s\nwant %d", text, len(got), strings.Join(got, "\n"), len(want))
		return
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%s\ngot  %s\nwant %s", text, got[i], want[i])
		}
	}
}

func TestWhatAnotherMachineMayHaveIsAWarningAtItsArgument(t *testing.T) {
	t.Setenv("TOY_UNSET", "")
	dir := t.TempDir()
	for text, want := range map[string]string{
		"toy.keeper \"a\" {\n\ttls { }\n\ttls {\n\t\tca_file = \"/absent/ca.pem\"\n\t}\n}":         "f:4:3: warning: ca_file: ",
		"toy.keeper \"a\" {\n\ttls {\n\t\tca_file = \"" + dir + "\"\n\t}\n}":                       "f:3:3: warning: ca_file: read " + dir + ": is a directory",
		"toy.keeper \"a\" {\n\tpassword_file = \"/absent/password\"\n}":                            "f:2:2: warning: password_file: ",
		"toy.keeper \"a\" {\n\tport = sys.env(\"TOY_UNSET\")\n}":                                   "f:2:9: warning: port ",
		"toy.keeper \"a\" {\n\tport = env(\"TOY_UNSET\")\n}":                                       "f:2:9: warning: port ",
		"toy.keeper \"a\" {\n\tport = encoding.from_json(sys.env(\"TOY_UNSET\"))\n}":               "f:2:",
		"toy.keeper \"a\" {\n\tregion = sys.env(\"TOY_UNSET\")\n}":                                 "f:2:2: warning: region: is empty; TOY_UNSET is not set in the environment",
		"toy.keeper \"a\" {\n\tpassword_file = sys.env(\"TOY_UNSET\") + \"/absent/password\"\n}\n": "f:2:2: warning: password_file: ",
	} {
		expect(t, text, said(keeperOptions(), text), want)
		strict := keeperOptions()
		strict.Strict = true
		for _, line := range said(strict, text) {
			if strings.Contains(line, "warning") {
				t.Errorf("%s\nstrict: got %s", text, line)
			}
		}
		expect(t, text, said(strict, text), strings.ReplaceAll(want, "warning: ", ""))
	}
}

func TestAFileThatCannotBeReadIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(path); err == nil {
		t.Skip("root may read everything")
	}
	text := "toy.keeper \"a\" {\n\ttls {\n\t\tca_file = \"" + path + "\"\n\t}\n}"
	expect(t, text, said(keeperOptions(), text), "f:3:3: warning: ca_file: open "+path+": permission denied")
}

func TestAWrongValueBesideWhatIsMissingIsAnError(t *testing.T) {
	t.Setenv("TOY_UNSET", "")
	text := "toy.keeper \"a\" {\n\ttls {\n\t\tca_file = \"/absent/ca.pem\"\n\t}\n\ttls {\n\t\tversion = \"9\"\n\t}\n}"
	expect(t, text, said(keeperOptions(), text), "f:6:3: tls 2 > version: is too high", "f:3:3: warning: ca_file: ")
	text = "toy.keeper \"a\" {\n\tport = \"x\" + sys.env(\"TOY_UNSET\")\n\tregion = []\n\tother = 2\n}"
	expect(t, text, said(keeperOptions(), text), "f:3:", "f:4:2: unknown argument", "f:2:9: warning: port ")
	text = "toy.keeper \"a\" {\n\tport = \"x\"\n\tregion = sys.env(\"TOY_UNSET\")\n}"
	expect(t, text, said(keeperOptions(), text), "f:2:9: port ")
}

func TestWhatRefersToAComponentThatLacksItsFileIsChecked(t *testing.T) {
	const keeper = "toy.keeper \"a\" { tls { ca_file = \"/absent/ca.pem\" } }\n"
	const missing = "f:1:24: warning: ca_file: "
	for text, want := range map[string]string{
		`toy.source "b" { host = "x", forward_to = [toy.keeper.a.receiver] }`:                       "",
		"toy.source \"b\" {\n\thost = []\n\tforward_to = [toy.keeper.a.receiver]\n}":                "f:3:9: host",
		"toy.source \"b\" {\n\thost = \"x\"\n\tforward_to = [toy.keeper.a.recever]\n}":              "f:4:16: toy.keeper.a has no export \"recever\"",
		"toy.scrape \"b\" {\n\ttargets = []\n\tforward_to = [toy.keeper.a.receiver]\n}":             "f:4:",
		"toy.source \"b\" {\n\thost = toy.keeper.a.content\n\tforward_to = []\n}":                   "",
		"toy.source \"b\" {\n\thost = toy.keeper.a.content\n\tforward_to = []\n\tratio = \"no\"\n}": "f:5:",
	} {
		text = keeper + strings.ReplaceAll(strings.ReplaceAll(text, ", ", "\n"), "\" { host", "\" {\nhost")
		text = strings.ReplaceAll(text, "] }", "]\n}")
		if want == "" {
			expect(t, text, said(keeperOptions(), text), missing)
		} else {
			expect(t, text, said(keeperOptions(), text), want, missing)
		}
	}
}

func TestRunRejectsWhatItCannotDoWithout(t *testing.T) {
	c := New(keeperOptions())
	t.Cleanup(func() { c.Stop(0) })
	load := func(text string) error {
		return c.Load(t.Context(), []config.Source{{Name: "f", Text: []byte(text)}})
	}
	err := load("toy.keeper \"a\" {\n\ttls {\n\t\tca_file = \"/absent/ca.pem\"\n\t}\n}")
	if err == nil || !strings.HasPrefix(err.Error(), "f:3:3: tls > ca_file: open /absent/ca.pem") {
		t.Errorf("got %v", err)
	}
	if err := load("toy.keeper \"a\" {\n\tpassword_file = \"/absent/password\"\n}"); err != nil {
		t.Error(err)
	}
}
