package api

import (
	"slices"
	"sort"
	"sync"
)

// store keeps values in memory under ascending ids. When it is full, each new
// value takes the place of the oldest.
type store[T any] struct {
	limit int

	mu     sync.Mutex // guards what follows
	lastID int
	rows   []row[T] // by ascending id
}

type row[T any] struct {
	id    int
	value T
}

func newStore[T any](limit int) *store[T] { return &store[T]{limit: limit} }

// add stores what make returns for the next id.
func (s *store[T]) add(made func(id int) T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	value := made(s.lastID)
	if len(s.rows) == s.limit {
		s.rows = slices.Delete(s.rows, 0, 1)
	}
	s.rows = append(s.rows, row[T]{s.lastID, value})
	return value
}

func (s *store[T]) get(id int) (value T, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.find(id)
	if !found {
		return value, false
	}
	return s.rows[i].value, true
}

// change applies f to a value while nobody else can change it.
func (s *store[T]) change(id int, f func(*T)) (value T, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.find(id)
	if !found {
		return value, false
	}
	f(&s.rows[i].value)
	return s.rows[i].value, true
}

func (s *store[T]) remove(id int) (found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.find(id)
	if found {
		s.rows = slices.Delete(s.rows, i, i+1)
	}
	return found
}

// page returns up to limit values after the first offset, and how many there
// are altogether.
func (s *store[T]) page(offset, limit int) (values []T, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total = len(s.rows)
	from := min(offset, total)
	values = make([]T, 0, min(limit, total-from))
	for _, r := range s.rows[from:min(from+limit, total)] {
		values = append(values, r.value)
	}
	return values, total
}

func (s *store[T]) find(id int) (int, bool) {
	return sort.Find(len(s.rows), func(i int) int { return id - s.rows[i].id })
}
