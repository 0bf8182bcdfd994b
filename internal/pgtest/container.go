package pgtest

import (
	"errors"

	"sandpiper/internal/containertest"
)

// startContainer is start, in a container of the image that docker-compose.yml names.
func startContainer(settings ...string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := []string{"postgres", "-c", "max_connections=200", "-c", "shared_buffers=64MB"}
	for _, setting := range settings {
		cmd = append(cmd, "-c", setting)
	}
	s := &Server{port: port, settings: settings}
	s.container, err = containertest.Start(containertest.Options{
		Image: containertest.Postgres, Port: 5432, At: port, Cmd: cmd,
		Env: map[string]string{"POSTGRES_USER": "sandpiper", "POSTGRES_DB": "sandpiper", "POSTGRES_HOST_AUTH_METHOD": "trust"},
	})
	if err != nil {
		return nil, err
	}
	if err := s.ready(nil, s.container.Log); err != nil {
		return nil, errors.Join(err, s.container.Remove())
	}
	return s, nil
}
