package store_test

import (
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

var quiet = slog.New(slog.DiscardHandler)

func TestSQLite(t *testing.T) {
	var paths sync.Map // :: open store → its file
	open := func(t testing.TB, path string) *store.Store {
		s := storetest.OpenSQLite(t, path)
		paths.Store(s, path)
		return s
	}
	storetest.Run(t, storetest.Fixture{
		New: func(t testing.TB) *store.Store {
			path := filepath.Join(t.TempDir(), "sandpiper.db")
			storetest.Prepare(t, path)
			return open(t, path)
		},
		Reopen: func(t testing.TB, s *store.Store) *store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			path, _ := paths.Load(s)
			return open(t, path.(string))
		},
	})
}

func TestPostgres(t *testing.T) {
	var urls sync.Map // :: open store → its database
	open := func(t testing.TB, url string) *store.Store {
		s := storetest.Open(t, url)
		urls.Store(s, url)
		return s
	}
	kept := storetest.Keep(t, func(t testing.TB) *store.Store { return open(t, store.Prepared(t)) }, store.Empty)
	storetest.Run(t, storetest.Fixture{
		New: kept.New,
		Reopen: func(t testing.TB, s *store.Store) *store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			url, _ := urls.Load(s)
			return open(t, url.(string))
		},
	})
}
