package store_test

import (
	"path/filepath"
	"testing"

	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	paths := map[*store.Store]string{} // :: open store → its file
	open := func(t testing.TB, path string) *store.Store {
		s := storetest.OpenSQLite(t, path)
		paths[s] = path
		return s
	}
	storetest.Run(t, storetest.Fixture{
		New: func(t testing.TB) *store.Store { return open(t, filepath.Join(t.TempDir(), "sandpiper.db")) },
		Reopen: func(t testing.TB, s *store.Store) *store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, paths[s])
		},
	})
}
