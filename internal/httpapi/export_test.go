package httpapi

import "sandpiper/internal/auth"

// Route is a row of the table of routes, for tests that must not forget one.
type Route struct {
	Method, Path string
	Needs        auth.Scopes
}

// Routes are all of them.
func Routes(s *Server) (all []Route) {
	for _, r := range s.routes() {
		all = append(all, Route{r.method, r.path, r.needs})
	}
	return all
}
