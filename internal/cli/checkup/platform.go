package checkup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sandpiper/internal/daytona"
)

// get asks for what the clients have no word for; key "" sends none. A redirect is not followed: it could carry the key
// away.
func get(ctx context.Context, url, key string, into any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	c := http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if into != nil && resp.StatusCode/100 == 2 {
		err = json.NewDecoder(resp.Body).Decode(into)
	}
	return resp.StatusCode, err
}

// gone deletes a sandbox and waits until the platform says that it is destroyed, or on its way there.
func (p *place) gone(ctx context.Context, idOrName string) error {
	if err := p.platform.Delete(ctx, idOrName); err != nil {
		return fmt.Errorf("delete sandbox %s: %w", idOrName, err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		sb, err := p.platform.Get(ctx, idOrName)
		switch {
		case errors.Is(err, daytona.ErrNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("look whether sandbox %s is gone: %w", idOrName, err)
		case p.local == nil && (sb.State == daytona.StateDestroying || sb.State == daytona.StateDestroyed):
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sandbox %s is still %s", idOrName, sb.State)
		case <-tick.C:
		}
	}
}
