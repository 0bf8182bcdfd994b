package mortal_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/mortal"
)

// parentVar makes this test binary a parent that starts a child and hangs.
const parentVar = "TEST_IS_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentVar) != "" {
		child := exec.Command("sleep", "300")
		child.Stdout = os.Stdout
		_, err := mortal.Start(child)
		fmt.Println(err)
		select {}
	}
	if os.Getenv(stubbornVar) != "" {
		beStubborn()
		return
	}
	goleak.VerifyTestMain(m)
}

// TestAChildDiesWithItsParent: a pipe ends when nobody holds its other end, and the child holds it too.
func TestAChildDiesWithItsParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	parent := exec.Command(self)
	parent.Env, parent.Stdout = append(os.Environ(), parentVar+"=1"), write
	release, err := mortal.Start(parent)
	if err != nil {
		t.Fatal(err)
	}
	write.Close()
	if err := read.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var said string
	if _, err := fmt.Fscanln(read, &said); err != nil || said != "<nil>" {
		t.Fatalf("the parent says %q, %v", said, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	release()
	if _, err := io.Copy(io.Discard, read); err != nil {
		t.Errorf("the child lives on: %v", err)
	}
}

func TestWhatCannotBeStarted(t *testing.T) {
	if _, err := mortal.Start(exec.Command("/no/such/program")); err == nil {
		t.Error("it has started")
	}
}
