package api

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// Order is for a number of one item, at its price when ordered.
type Order struct {
	ID       int     `json:"id"`
	ItemID   int     `json:"item_id"`
	Quantity int     `json:"quantity"`
	Total    float64 `json:"total"`
}

type orderFields struct {
	ItemID   *int `json:"item_id"`
	Quantity *int `json:"quantity"`
}

const maxQuantity = 1000

func (f orderFields) check() error {
	wrong := map[string]string{}
	switch {
	case f.ItemID == nil:
		wrong["item_id"] = "is required"
	case *f.ItemID < 1:
		wrong["item_id"] = "must be a whole number from 1"
	}
	switch {
	case f.Quantity == nil:
		wrong["quantity"] = "is required"
	case *f.Quantity < 1 || *f.Quantity > maxQuantity:
		wrong["quantity"] = "must be a whole number from 1 to 1000"
	}
	return invalid(wrong)
}

func (a *API) createOrder(w http.ResponseWriter, r *http.Request) error {
	var fields orderFields
	if err := readBody(w, r, &fields); err != nil {
		return err
	}
	if err := fields.check(); err != nil {
		return err
	}
	item, found := a.items.get(*fields.ItemID)
	if !found {
		return noItem(*fields.ItemID)
	}
	if err := a.call(r.Context(), "payments", "charge", 20*time.Millisecond, 200*time.Millisecond); err != nil {
		return err
	}
	if err := a.database(r.Context(), "insert order", attribute.Int("item.id", item.ID)); err != nil {
		return err
	}
	order := a.orders.add(func(id int) Order {
		total := math.Round(item.Price*float64(*fields.Quantity)*100) / 100
		return Order{ID: id, ItemID: item.ID, Quantity: *fields.Quantity, Total: total}
	})
	a.Log.InfoContext(r.Context(), "order created", "order_id", order.ID, "item_id", item.ID, "total", order.Total)
	w.Header().Set("Location", "/api/orders/"+strconv.Itoa(order.ID))
	return reply(w, http.StatusCreated, order)
}

func (a *API) getOrder(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "order_id")
	if err != nil {
		return err
	}
	if err := a.database(r.Context(), "select order", attribute.Int("order.id", id)); err != nil {
		return err
	}
	order, found := a.orders.get(id)
	if !found {
		return noOrder(id)
	}
	return reply(w, http.StatusOK, order)
}

func (a *API) deleteOrder(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "order_id")
	if err != nil {
		return err
	}
	if err := a.database(r.Context(), "delete order", attribute.Int("order.id", id)); err != nil {
		return err
	}
	if !a.orders.remove(id) {
		return noOrder(id)
	}
	a.Log.InfoContext(r.Context(), "order deleted", "order_id", id)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func noOrder(id int) error { return refuse(http.StatusNotFound, "there is no order %d", id) }
