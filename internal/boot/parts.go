package boot

import (
	"context"
	"fmt"
	"io"

	"sandpiper/internal/config"
)

// part is something that a house opens.
type part struct {
	name string
	open func(context.Context) error
}

func open(ctx context.Context, parts []part) error {
	for _, p := range parts {
		if err := p.open(ctx); err != nil {
			return fmt.Errorf("open the %s: %w", p.name, err)
		}
	}
	return nil
}

// ground is what a role needs besides the database. None of it waits for anybody: what is away now is away for a while.
// The address comes before anything that takes time, so that a port in use is said at once.
func (h *House) ground(progress io.Writer) []part {
	address, queue, server := part{"address", h.openAddress}, part{"queue", h.openQueue}, part{"server", h.openServer}
	sandboxes := part{"sandboxes", h.openSandboxes}
	switch h.cfg.Role {
	case config.RoleAPI:
		return []part{address, queue, server}
	case config.RoleWorker:
		return []part{address, sandboxes, queue, server}
	}
	return []part{
		{"data directory", h.openData},
		address,
		{"claude command", func(ctx context.Context) error { return h.openClaude(ctx, progress) }},
		sandboxes,
		{"model", h.openModel},
		queue,
		server,
	}
}

// upper is what stands on the database.
func (h *House) upper() []part {
	worker, api := part{"worker", h.openWorker}, part{"API", h.openAPI}
	switch h.cfg.Role {
	case config.RoleAPI:
		return []part{api}
	case config.RoleWorker:
		return []part{worker}
	}
	return []part{worker, api}
}

// works reports whether this house runs jobs, serves whether it takes them, and migrates whether it changes the schema.
func (h *House) works() bool    { return h.cfg.Role != config.RoleAPI }
func (h *House) serves() bool   { return h.cfg.Role != config.RoleWorker }
func (h *House) migrates() bool { return h.cfg.Role == config.RoleUp }
