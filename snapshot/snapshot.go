package snapshot

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"
)

// ClaudeVersion is the pinned version of the claude command. The Dockerfile and npm/package.json name the same
// one; a test compares. An alias such as "sonnet" changes its meaning with the version.
const ClaudeVersion = "2.1.330"

// Home is the home directory of a sandbox, and Workspace the directory in which claude runs.
const (
	Home      = "/home/daytona"
	Workspace = Home + "/workspace"
)

// Dockerfile is the text of the image's Dockerfile. It needs no build context.
//
//go:embed Dockerfile
var Dockerfile string

var (
	//go:embed npm/package.json
	npmPackage []byte
	//go:embed npm/package-lock.json
	npmLock []byte
)

// NPM is what `npm ci` needs to install the pinned claude: file name → content. The lock keeps each package's
// integrity and no address, so that any registry serves.
func NPM() map[string][]byte {
	return map[string][]byte{"package.json": npmPackage, "package-lock.json": npmLock}
}

// Name is the name of the snapshot that this definition makes. It follows from the content alone: the same
// definition has the same name everywhere, and any change in it gives another.
func Name() string {
	return "sandpiper-snapshot-" + strings.ReplaceAll(ClaudeVersion, ".", "-") + "-" + Hash()[:12]
}

// Hash is the SHA-256, in hexadecimal, of everything that goes into an image: any change in it gives another.
func Hash() string {
	h := sha256.New()
	part := func(b []byte) { _, _ = fmt.Fprintf(h, "%d:%s", len(b), b) } // a hash never fails to write
	part([]byte(Dockerfile))
	part(npmLock)
	for _, e := range Manifest {
		part([]byte(e.Path))
		part([]byte(e.Mode.String()))
		part(e.Content)
	}
	return hex.EncodeToString(h.Sum(nil))
}
