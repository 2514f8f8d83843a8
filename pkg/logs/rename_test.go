package logs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/graph"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/file"
	"collector/pkg/pipeline"
)

// sinkComponent makes a sink a component.
type sinkComponent struct{ *logstest.Sink }

func (sinkComponent) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (s sinkComponent) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.LogsSink(s.Sink)}
}

// Reloads rename the source of a file that grows, there and back.
func TestReloadsThatRenameASourceLoseNoLine(t *testing.T) {
	log, sink := filepath.Join(t.TempDir(), "a.log"), &logstest.Sink{}
	controller := graph.New(graph.Options{
		StoragePath: t.TempDir(), Kinds: append(pipeline.Kinds(), discovery.Kinds()...),
		Definitions: []component.Definition{
			component.Define("loki.source.file", file.New, component.Doc{}),
			component.Define("test.sink", func(struct{}, component.Options) (sinkComponent, error) { return sinkComponent{sink}, nil }, component.Doc{}),
		},
	})
	t.Cleanup(func() { controller.Stop(10 * time.Second) })
	state := func() string { return fmt.Sprintf("%.300q", sink.Lines()) }
	written := 0
	for _, name := range strings.Fields("a b a c b c a d a") {
		text := fmt.Sprintf("test.sink \"out\" { }\nloki.source.file %q {\n targets = [{\"__path__\" = %q}]\n forward_to = [test.sink.out.receiver]\n}\n", name, log)
		if err := controller.Load(t.Context(), []config.Source{{Name: "test", Text: []byte(text)}}); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(logstest.Text(logstest.Numbered(written, written+500)))
			_ = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		written += 500
		sink.Wait(t, logstest.Numbered(0, written), state)
	}
}
