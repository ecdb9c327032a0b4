package worker_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"testing"
)

func TestExecCommandDiesWithItsWorker(t *testing.T) {
	t.Parallel()
	life := lifeline(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+life)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(life) // until the command has opened it, too
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	if line, err := r.ReadString('\n'); line != "up\n" {
		t.Fatalf("command said %q, %v", line, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()                                  // it was killed
	if _, err := io.Copy(io.Discard, r); err != nil { // hangs while the command lives
		t.Fatal(err)
	}
}
