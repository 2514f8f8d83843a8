package tailsampling

import "container/list"

// recent remembers values by the keys that were asked for last.
type recent[K comparable, V any] struct {
	size  int
	items map[K]*list.Element // of pair
	order *list.List          // the latest first
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](size int) *recent[K, V] {
	return &recent[K, V]{size: size, items: map[K]*list.Element{}, order: list.New()}
}

func (r *recent[K, V]) get(key K) (v V, known bool) {
	e, known := r.items[key]
	if !known {
		return v, false
	}
	r.order.MoveToFront(e)
	return e.Value.(pair[K, V]).value, true
}

func (r *recent[K, V]) put(key K, v V) {
	if r.size == 0 {
		return
	}
	if e, known := r.items[key]; known {
		e.Value = pair[K, V]{key, v}
		r.order.MoveToFront(e)
		return
	}
	r.items[key] = r.order.PushFront(pair[K, V]{key, v})
	if r.order.Len() > r.size {
		oldest := r.order.Back()
		r.order.Remove(oldest)
		delete(r.items, oldest.Value.(pair[K, V]).key)
	}
}
