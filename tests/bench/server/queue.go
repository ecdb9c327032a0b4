package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// HTTP is a server that was built for the harness: ours, or one of those that it is compared with.
type HTTP struct {
	*Process
	Addr  string
	Ready time.Duration // from the start of the process to the first good answer
}

// readyTimeout bounds the start of a server.
const readyTimeout = time.Minute

// StartQueue runs our server on a database, without workers of its own and without settings from the environment; dir is where it runs.
func StartQueue(ctx context.Context, program, database, dir string) (*HTTP, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "serve", "--addr", addr, "--database", database, "--workers", "0")
	cmd.Dir = dir
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "PRISMQ_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	return startHTTP(ctx, cmd, addr)
}

// StartBaseline runs a server to compare with; kind is constant or naive. Data are kept in dir, which is empty.
func StartBaseline(ctx context.Context, program, kind, dir string) (*HTTP, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, kind, addr, dir)
	cmd.Dir = dir
	return startHTTP(ctx, cmd, addr)
}

func startHTTP(ctx context.Context, cmd *exec.Cmd, addr string) (*HTTP, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	begin := time.Now()
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	err = p.await(ctx, time.Millisecond, func() error {
		resp, err := http.Get("http://" + addr + "/readyz")
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz answers %s", resp.Status)
		}
		return nil
	})
	ready := time.Since(begin)
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return &HTTP{Process: p, Addr: addr, Ready: ready}, nil
}
