package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"collector/pkg/admin/ui/page"
	"collector/pkg/graph"
)

// alloyComponent is a component as Alloy's own UI reads it below /api/v0/web.
type alloyComponent struct {
	Name                 string         `json:"name"`
	Type                 string         `json:"type"`
	LocalID              string         `json:"localID"`
	ModuleID             string         `json:"moduleID"`
	Label                string         `json:"label"`
	ReferencesTo         []string       `json:"referencesTo"`
	ReferencedBy         []string       `json:"referencedBy"`
	DataFlowEdgesTo      []string       `json:"dataFlowEdgesTo"`
	Health               graph.Health   `json:"health"`
	Arguments            []alloyElement `json:"arguments,omitempty"`
	Exports              []alloyElement `json:"exports,omitempty"`
	DebugInfo            []alloyElement `json:"debugInfo,omitempty"`
	CreatedModuleIDs     []string       `json:"createdModuleIDs"`
	LiveDebuggingEnabled bool           `json:"liveDebuggingEnabled"`
}

// alloyElement is one argument or export.
type alloyElement struct {
	Name  string     `json:"name"`
	Type  string     `json:"type"`
	Value alloyValue `json:"value"`
}

// alloyValue is a value with the name of its type.
type alloyValue struct {
	Type  string `json:"type"`
	Value any    `json:"value"`
}

type alloyField struct {
	Key   string     `json:"key"`
	Value alloyValue `json:"value"`
}

func (s *Server) registerAlloyAPI(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v0/web/components", func(w http.ResponseWriter, _ *http.Request) {
		list := []alloyComponent{}
		for _, c := range s.options.Source.Summary().Components {
			list = append(list, alloyOf(c))
		}
		page.WriteJSON(w, http.StatusOK, list)
	})
	mux.HandleFunc("GET /api/v0/web/components/{id...}", func(w http.ResponseWriter, r *http.Request) {
		s.alloyComponent(w, r.PathValue("id"))
	})
	const remote = "remotecfg/" // prefix of the ids of what a server has configured
	mux.HandleFunc("GET /api/v0/web/remotecfg/components", func(w http.ResponseWriter, _ *http.Request) {
		list := []alloyComponent{}
		for _, c := range s.options.Source.Summary().Components {
			if strings.HasPrefix(c.ID, remote) {
				list = append(list, alloyOf(c))
			}
		}
		page.WriteJSON(w, http.StatusOK, list)
	})
	mux.HandleFunc("GET /api/v0/web/remotecfg/components/{id...}", func(w http.ResponseWriter, r *http.Request) {
		s.alloyComponent(w, remote+strings.TrimPrefix(r.PathValue("id"), remote))
	})
	mux.HandleFunc("GET /api/v0/web/peers", func(w http.ResponseWriter, _ *http.Request) {
		page.WriteJSON(w, http.StatusOK, []string{}) // there is no cluster
	})
}

// alloyComponent answers with one component.
func (s *Server) alloyComponent(w http.ResponseWriter, id string) {
	c, ok := s.ui.Component(id) // without secrets that rules have copied
	if !ok {
		http.Error(w, fmt.Sprintf("component %q does not exist", id), http.StatusNotFound)
		return
	}
	out := alloyOf(c)
	out.Arguments, out.Exports, out.DebugInfo = alloyElements(c.Arguments), alloyElements(c.Exports), alloyElements(c.Status)
	page.WriteJSON(w, http.StatusOK, out)
}

func alloyOf(c graph.ComponentInfo) alloyComponent {
	c.Health.State = c.Health.Alloy // one of those that the API's clients know
	return alloyComponent{
		Name: c.Name, Type: "block", LocalID: c.Local, ModuleID: c.Module, Label: c.Label, ReferencesTo: c.ReferencesTo, ReferencedBy: c.ReferencedBy,
		DataFlowEdgesTo: c.FlowsTo, Health: c.Health, CreatedModuleIDs: []string{}, LiveDebuggingEnabled: true,
	}
}

// alloyElements are the fields of a JSON object; anything else is one element.
func alloyElements(raw json.RawMessage) []alloyElement {
	if len(raw) == 0 {
		return nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		return []alloyElement{{"status", "attr", alloyValueOf(v)}}
	}
	var out []alloyElement
	for _, f := range alloyFields(object) {
		out = append(out, alloyElement{f.Key, "attr", f.Value})
	}
	return out
}

func alloyFields(object map[string]any) []alloyField {
	out := []alloyField{}
	for key, v := range object {
		out = append(out, alloyField{key, alloyValueOf(v)})
	}
	slices.SortFunc(out, func(a, b alloyField) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func alloyValueOf(v any) alloyValue {
	switch v := v.(type) {
	case nil:
		return alloyValue{Type: "null"}
	case bool:
		return alloyValue{Type: "bool", Value: v}
	case float64:
		return alloyValue{Type: "number", Value: fmt.Sprint(v)}
	case string:
		return alloyValue{Type: "string", Value: v}
	case []any:
		items := []alloyValue{}
		for _, item := range v {
			items = append(items, alloyValueOf(item))
		}
		return alloyValue{Type: "array", Value: items}
	case map[string]any:
		return alloyValue{Type: "object", Value: alloyFields(v)}
	}
	return alloyValue{Type: "string", Value: fmt.Sprint(v)}
}
