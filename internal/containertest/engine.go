//go:build containers

package containertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// vessel is one container, made by testcontainers-go.
type vessel struct {
	provider  *testcontainers.DockerProvider
	container testcontainers.Container
	engine    client.APIClient // the provider's
}

// look returns what this machine lacks.
func look() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	engine, err := client.New(client.FromEnv)
	if err != nil {
		return fmt.Errorf("no Docker engine: %w", err)
	}
	defer engine.Close()
	if _, err := engine.Ping(ctx, client.PingOptions{}); err != nil {
		return errors.New("no Docker engine answers")
	}
	for _, image := range []string{Postgres, Redis} {
		if _, err := engine.ImageInspect(ctx, image); err != nil {
			return fmt.Errorf("no image %s", image)
		}
	}
	return nil
}

// patience is how long an engine may take for one thing.
const patience = 2 * time.Minute

// Start makes a container and starts it.
func Start(o Options) (Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	inside, ok := network.PortFrom(uint16(o.Port), network.TCP)
	if !ok {
		return nil, fmt.Errorf("start a container of %s: no port %d", o.Image, o.Port)
	}
	loopback := network.PortBinding{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: strconv.Itoa(o.At)}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return nil, fmt.Errorf("reach the engine: %w", err)
	}
	s := &vessel{provider: provider, engine: provider.Client()}
	s.container, err = provider.CreateContainer(ctx, testcontainers.ContainerRequest{
		Image: o.Image, Env: o.Env, Cmd: o.Cmd, ExposedPorts: []string{inside.String()},
		Labels:             map[string]string{"sandpiper.test": "true"},
		HostConfigModifier: func(h *container.HostConfig) { h.PortBindings = network.PortMap{inside: {loopback}} },
	})
	if err == nil {
		err = s.container.Start(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("start a container of %s: %w", o.Image, errors.Join(err, s.Remove()))
	}
	return s, nil
}

// Kill ends the server as kill -9 does. What it had on disk stays.
func (s *vessel) Kill() error {
	return s.do(func(ctx context.Context, id string) error {
		_, err := s.engine.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"})
		return err
	})
}

// Again starts a server that was killed, on the same port.
func (s *vessel) Again() error {
	return s.do(func(ctx context.Context, id string) error {
		_, err := s.engine.ContainerStart(ctx, id, client.ContainerStartOptions{})
		return err
	})
}

// Pause freezes the server: its port is open, and it says nothing. Resume undoes it.
func (s *vessel) Pause() error {
	return s.do(func(ctx context.Context, id string) error {
		_, err := s.engine.ContainerPause(ctx, id, client.ContainerPauseOptions{})
		return err
	})
}

// Resume undoes Pause.
func (s *vessel) Resume() error {
	return s.do(func(ctx context.Context, id string) error {
		_, err := s.engine.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
		return err
	})
}

// Running reports whether it is; one that is not has ended by itself, or was killed.
func (s *vessel) Running() bool {
	var running bool
	err := s.do(func(ctx context.Context, id string) error {
		got, err := s.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err == nil && got.Container.State != nil {
			running = got.Container.State.Running
		}
		return err
	})
	return err == nil && running
}

// Log is what it has said.
func (s *vessel) Log() (said string) {
	err := s.do(func(ctx context.Context, _ string) error {
		out, err := s.container.Logs(ctx)
		if err != nil {
			return err
		}
		defer out.Close()
		raw, err := io.ReadAll(out)
		said = strings.TrimSpace(string(raw))
		return err
	})
	if err != nil {
		return err.Error()
	}
	return said
}

// Remove removes the container and what it has on disk.
func (s *vessel) Remove() (err error) {
	if s.container != nil {
		err = s.do(func(ctx context.Context, id string) error {
			_, err := s.engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			return err
		})
	}
	return errors.Join(err, s.provider.Close())
}

func (s *vessel) do(what func(ctx context.Context, id string) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := what(ctx, s.container.GetContainerID()); err != nil {
		return fmt.Errorf("ask the engine: %w", err)
	}
	return nil
}

func init() {
	// Its reaper is an image that is not there. Containers end with their tests; what a killed binary leaves has our label.
	if os.Getenv("TESTCONTAINERS_RYUK_DISABLED") == "" {
		_ = os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	}
	log.SetDefault(log.NewNoopLogger()) // else each binary tells of the engine
}
