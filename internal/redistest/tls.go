package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Secure is a Server that speaks TLS only, with a certificate for 127.0.0.1 that no authority of this machine knows.
type Secure struct {
	*Server
	CA string // the file of the certificate that a client must trust
}

// StartTLS runs a Secure until t ends.
func StartTLS(t testing.TB, options ...string) *Secure {
	t.Helper()
	how := secure(t)
	return &Secure{start(t, how, options...), how.ca}
}

// secure is TLS, by one certificate for all.
func secure(t testing.TB) speech {
	t.Helper()
	cert, key := certificate(t)
	trusted := x509.NewCertPool()
	text, err := os.ReadFile(cert)
	if err != nil || !trusted.AppendCertsFromPEM(text) {
		t.Fatalf("read our own certificate: %v", err)
	}
	return speech{
		scheme: "rediss://", port: "--tls-port", ca: cert, client: redis.Options{TLSConfig: &tls.Config{RootCAs: trusted}},
		more: []string{
			"--port", "0", "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert,
			"--tls-auth-clients", "no", "--tls-replication", "yes", "--tls-cluster", "yes",
		},
	}
}

// certificate makes a certificate that is its own authority, and its key.
func certificate(t testing.TB) (cert, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a Redis of a test"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, // servers are each other's clients
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &pair.PublicKey, pair)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	return inFile(t, "CERTIFICATE", der), inFile(t, "EC PRIVATE KEY", secret)
}

func inFile(t testing.TB, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "redis.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
