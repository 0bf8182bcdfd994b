//go:build compose

package compose

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// triesEndToEnd: the end-to-end tests as they are, on this composition. They listen where the model was, and each is a tenant.
func (c *composition) triesEndToEnd() {
	addr := strings.TrimPrefix(c.model.URL(), "http://")
	c.model.leave(c.t)
	defer c.model.listen(c.t, addr)
	cmd := exec.Command("go", "test", "-count=1", "-vet=off", "-v", "-timeout", "30m", "-parallel", "1", "./test/e2e",
		"-args", "-estate", "composed", "-composed", c.url, "-model", addr)
	cmd.Dir = filepath.Clean(root)
	cmd.Env = append(os.Environ(), "E2E_COMPOSED_KEYS="+strings.Join(c.tenants, " "))
	out, err := cmd.CombinedOutput()
	passed := strings.Count("\n"+string(out), "\n--- PASS")
	c.t.Logf("%d end-to-end tests passed", passed)
	if err != nil || passed == 0 {
		c.t.Errorf("the end-to-end suite: %v\n%s", err, out)
	}
}
