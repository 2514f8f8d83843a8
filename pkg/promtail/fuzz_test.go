package promtail

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"collector/pkg/config"
)

// FuzzConvert checks that whatever a file is, it is either rejected at a place within it,
// or made into a configuration that can be parsed, is formatted, and is the same each
// time.
func FuzzConvert(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no cases: %v", err)
	}
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, section := range archive.Files {
			if section.Name == "promtail.yaml" {
				f.Add(section.Data, true)
			}
		}
	}
	for _, text := range []string{"", "a", "- a", "a: &a [*a]", "a: &a {<<: *a}", "clients: ${X", "\xff", "clients: [{url: \"http://a/${B:-\\u0000}\"}]"} {
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, lenient bool) {
		file := config.Source{Name: "f", Text: text}
		o := Options{ExpandEnv: true, KeepVariables: lenient, Lenient: lenient, Getenv: fromEnv("A=1\nB=b: c\n")}
		result, ds := Convert(file, o)
		lines := bytes.Count(text, []byte("\n")) + 1
		for _, d := range ds {
			if d.At.File != "f" || d.At.Line < 0 || d.At.Line > lines {
				t.Fatalf("%+v is not in %q", d.At, text)
			}
			_ = d.String()
		}
		if (result == nil) != (ds.Err() != nil) {
			t.Fatalf("%v, and a result: %t", ds, result != nil)
		}
		if result == nil {
			return
		}
		if _, ds := config.Parse(result.Sources()); ds.Err() != nil {
			t.Fatalf("%v\n%s", ds, result.Config.Text)
		}
		again, err := config.Format(result.Config)
		if err != nil || !bytes.Equal(again, result.Config.Text) {
			t.Fatalf("%q becomes %q: %v", result.Config.Text, again, err)
		}
		if twice, _ := Convert(file, o); !bytes.Equal(twice.Config.Text, result.Config.Text) {
			t.Fatalf("%q, and then %q", result.Config.Text, twice.Config.Text)
		}
	})
}

// FuzzExpand checks that a text without variables and escapes stays as it is, and
// that nothing that was kept is lost.
func FuzzExpand(f *testing.F) {
	for _, text := range []string{"a", "${A}", "${A:-b}", "$$A", `\\`, "${A^^}", "${A:1:2}", "${A/1/2}", "${A:-${B}}", "${", "${}", "$"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		getenv := fromEnv("A=1\nB=two\n")
		plain := newReader(config.Source{}, Options{Getenv: getenv})
		now, err := plain.expand(text)
		if err == nil && !strings.ContainsAny(text, `$\`) && now != text {
			t.Fatalf("%q becomes %q", text, now)
		}
		keeping := newReader(config.Source{}, Options{Getenv: getenv, KeepVariables: true})
		later, keptErr := keeping.expand(text)
		if (err == nil) != (keptErr == nil) || err == nil && !strings.Contains(text, "}") && keeping.resolve(later) != now {
			t.Fatalf("%q becomes %q now and %q later: %v %v", text, now, keeping.resolve(later), err, keptErr)
		}
	})
}

// TestPublicFiles converts public Promtail files, which testdata/public.tsv lists by
// repository, path and commit, and which are in the folder that PROMTAIL_FILES names,
// each called like its repository and path with underscores for slashes. What does not
// convert is reported with its cause.
func TestPublicFiles(t *testing.T) {
	dir := os.Getenv("PROMTAIL_FILES")
	if dir == "" {
		t.Skip("PROMTAIL_FILES does not name a folder of public files")
	}
	list, err := os.ReadFile("testdata/public.tsv")
	if err != nil {
		t.Fatal(err)
	}
	converted, total := 0, 0
	for line := range strings.Lines(string(list)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") || len(fields) < 3 {
			continue
		}
		total++
		name := strings.ReplaceAll(strings.Replace(fields[0], "/", "+", 1)+"/"+fields[1], "/", "_")
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		t.Run(name, func(t *testing.T) {
			if !Detect(text) {
				t.Error("it is not recognized")
			}
			// Each variable is an address, with a scheme where the file has none, if its
			// name says nothing else.
			getenv := func(name string) (string, bool) {
				switch {
				case strings.HasSuffix(name, "PORT"):
					return "9080", true
				case strings.HasSuffix(name, "DISABLED"):
					return "false", true
				case bytes.Contains(text, []byte("url: ${"+name)):
					return "http://loki:3100/loki/api/v1/push", true
				}
				return "loki:3100/loki/api/v1/push", true
			}
			o := Options{ExpandEnv: bytes.Contains(text, []byte("${")), Getenv: getenv}
			result, ds := Convert(config.Source{Name: fields[1], Text: text}, o)
			refused := len(fields) > 3
			if result == nil {
				t.Logf("%v", ds)
			} else {
				converted++
				loads(t, result, os.LookupEnv)
			}
			if refused != (result == nil) {
				t.Errorf("it is converted: %t; the list says: %q", result != nil, fields[3:])
			}
		})
	}
	t.Logf("%d of %d files are converted", converted, total)
}
