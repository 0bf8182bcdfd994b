package mortal_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandpiper/internal/mortal"
)

// stubbornVar makes this test binary a server that hears one signal only.
const stubbornVar = "TEST_STUBBORN"

// TestAProgramThatHearsOneSignalOnlyIsFoundOut: it ends when its last request has, and not before.
func TestAProgramThatHearsOneSignalOnlyIsFoundOut(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{stubbornVar + "=1"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	release, err := mortal.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	code, took, err := mortal.Insist(cmd, strings.TrimSpace(line), syscall.SIGTERM, syscall.SIGINT)
	if err != nil || code != 0 || took < stubborn/2 {
		t.Errorf("exit code %d after %v, %v; want 0 after %v", code, took, err, stubborn)
	}
}

const stubborn = 2 * time.Second

func beStubborn() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + ln.Addr().String())
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})}
	go func() { _ = srv.Serve(ln) }()
	<-ctx.Done()
	late, end := context.WithTimeout(context.Background(), stubborn)
	defer end()
	_ = srv.Shutdown(late)
}
