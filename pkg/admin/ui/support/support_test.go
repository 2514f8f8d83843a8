package support_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/support"
	"collector/pkg/admin/ui/uitest"
	"collector/pkg/inspect"
)

func TestASupportBundleHasWhatIsNeededAndNoSecrets(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "some_gauge", Help: "Of http://u:hunter2planted@h."}, func() float64 { return 1 }))
	s := uitest.NewStock(3, 2)
	s.Hosts = []inspect.Engine{{Host: "unix:///s", Error: "down"}}
	u := uitest.New(t, uitest.Small, func(o *ui.Options) {
		o.Inventory = s
		o.Support = &support.Program{
			Build: map[string]string{"revision": "abc"}, Flags: map[string]string{"storage.path": "/data", "password": uitest.Planted}, Metrics: registry,
			Log: func() []string {
				return []string{"level=info url=http://u:hunter2planted@h/?token=hunter2planted", "env has ENVSECRET1 \"in\" it"}
			},
			Secrets: func() []string { return []string{"ENVSECRET1", "a"} },
		}
	})
	u.Next = "toy.sink \"x\" {\n\tnonsense = 1\n\tpassword = \"hunter2planted\"\n}\n"
	if u.Load(t.Context()) == nil {
		t.Fatal("the configuration was loaded")
	}
	w := u.Ask("GET", "/-/support")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/zip" || !strings.Contains(w.Header().Get("Content-Disposition"), "collector-support-") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	files := unzip(t, w.Body.Bytes())
	for name, want := range map[string]string{
		"README.txt": "replaced", "version.json": `"storage.path": "/data"`, "problems.json": "last reload failed", "overview.json": "signals", "components.json": "toy.source.a",
		"targets.json": "shop-service-0001-1", "tails.json": "shop-service-0001-1", "engines.json": "unix:///s", "metrics.txt": "some_gauge 1", "log.txt": `env has (secret) "in" it`,
		"goroutines.txt": "goroutine profile", "heap.pprof": "", "configuration/in-force/01.alloy": "dir/c.alloy", "configuration/failed/01.alloy": "nonsense", "configuration/failed/error.txt": "nonsense",
		"history.json": `"text": "\tpassword = ****`,
	} {
		text, ok := files[name]
		if !ok || !strings.Contains(text, want) {
			t.Errorf("%s: %v, no %s in %.300s", name, ok, want, text)
		}
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(text)) {
			t.Errorf("%s is not JSON", name)
		}
	}
	for name, text := range files {
		if strings.Contains(text, uitest.Planted) || strings.Contains(text, "ENVSECRET1") {
			t.Errorf("%s holds a secret", name)
		}
	}
	if u := uitest.New(t, uitest.Small, nil); u.Ask("GET", "/-/support").Code != http.StatusNotFound {
		t.Error("there is a bundle though it is switched off")
	}
}

func unzip(t *testing.T, data []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(text)
	}
	return files
}
