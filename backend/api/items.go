package api

import (
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
)

// Item is something that can be ordered.
type Item struct {
	ID          int     `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Price       float64 `json:"price"`
}

// itemFields are what a client may send; nil means that it did not.
type itemFields struct {
	Name        *string  `json:"name"`
	Description *string  `json:"description"`
	Price       *float64 `json:"price"`
}

const (
	maxName        = 100
	maxDescription = 1000
	maxPrice       = 1_000_000
)

// check rejects values that make no sense and, if the item must be complete, missing
// ones.
func (f itemFields) check(whole bool) error {
	wrong := map[string]string{}
	switch {
	case f.Name == nil && whole:
		wrong["name"] = "is required"
	case f.Name != nil && (*f.Name == "" || len(*f.Name) > maxName):
		wrong["name"] = "must have 1 to 100 bytes"
	}
	if f.Description != nil && len(*f.Description) > maxDescription {
		wrong["description"] = "must have at most 1000 bytes"
	}
	switch {
	case f.Price == nil && whole:
		wrong["price"] = "is required"
	case f.Price != nil && (*f.Price <= 0 || *f.Price > maxPrice):
		wrong["price"] = "must be more than 0 and at most 1000000"
	}
	return invalid(wrong)
}

func (f itemFields) apply(item *Item) {
	if f.Name != nil {
		item.Name = *f.Name
	}
	if f.Description != nil {
		item.Description = *f.Description
	}
	if f.Price != nil {
		item.Price = *f.Price
	}
}

func (a *API) listItems(w http.ResponseWriter, r *http.Request) error {
	limit, err := queryInt(r, "limit", 20, 1, 100)
	if err != nil {
		return err
	}
	offset, err := queryInt(r, "offset", 0, 0, maxStored)
	if err != nil {
		return err
	}
	if err := a.database(r.Context(), "select items"); err != nil {
		return err
	}
	items, total := a.items.page(offset, limit)
	return reply(w, http.StatusOK, map[string]any{"items": items, "total": total})
}

func (a *API) createItem(w http.ResponseWriter, r *http.Request) error {
	var fields itemFields
	if err := readBody(w, r, &fields); err != nil {
		return err
	}
	if err := fields.check(true); err != nil {
		return err
	}
	if err := a.database(r.Context(), "insert item"); err != nil {
		return err
	}
	item := a.items.add(func(id int) Item {
		item := Item{ID: id}
		fields.apply(&item)
		return item
	})
	a.Log.InfoContext(r.Context(), "item created", "item_id", item.ID)
	w.Header().Set("Location", "/api/items/"+strconv.Itoa(item.ID))
	return reply(w, http.StatusCreated, item)
}

func (a *API) getItem(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "item_id")
	if err != nil {
		return err
	}
	if err := a.database(r.Context(), "select item", attribute.Int("item.id", id)); err != nil {
		return err
	}
	item, found := a.items.get(id)
	if !found {
		return noItem(id)
	}
	return reply(w, http.StatusOK, item)
}

func (a *API) replaceItem(w http.ResponseWriter, r *http.Request) error {
	return a.updateItem(w, r, true)
}

func (a *API) changeItem(w http.ResponseWriter, r *http.Request) error {
	return a.updateItem(w, r, false)
}

func (a *API) updateItem(w http.ResponseWriter, r *http.Request, whole bool) error {
	id, err := pathID(r, "item_id")
	if err != nil {
		return err
	}
	var fields itemFields
	if err := readBody(w, r, &fields); err != nil {
		return err
	}
	if err := fields.check(whole); err != nil {
		return err
	}
	if err := a.database(r.Context(), "update item", attribute.Int("item.id", id)); err != nil {
		return err
	}
	item, found := a.items.change(id, func(item *Item) {
		if whole {
			*item = Item{ID: id}
		}
		fields.apply(item)
	})
	if !found {
		return noItem(id)
	}
	return reply(w, http.StatusOK, item)
}

func (a *API) deleteItem(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "item_id")
	if err != nil {
		return err
	}
	if err := a.database(r.Context(), "delete item", attribute.Int("item.id", id)); err != nil {
		return err
	}
	if !a.items.remove(id) {
		return noItem(id)
	}
	a.Log.InfoContext(r.Context(), "item deleted", "item_id", id)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func noItem(id int) error { return refuse(http.StatusNotFound, "there is no item %d", id) }
