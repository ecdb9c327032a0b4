package server

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"time"
)

// ErrMissing: this machine has no such server.
var ErrMissing = errors.New("not installed")

// Redis is a private redis-server that writes its append-only file.
type Redis struct {
	*Process
	Addr string
	data string // its files
}

// Stop ends the server and removes its files.
func (r *Redis) Stop() error { return errors.Join(r.Process.Stop(), os.RemoveAll(r.data)) }

// StartRedis runs the redis-server of this machine with its data below dir. ErrMissing without one.
func StartRedis(ctx context.Context, dir string) (*Redis, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.Join(ErrMissing, err)
	}
	data, err := os.MkdirTemp(dir, "redis-")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	p, err := start(exec.Command(path, "--bind", host, "--port", port, "--dir", data, "--appendonly", "yes", "--appendfsync", "always",
		"--save", "", "--daemonize", "no"))
	if err != nil {
		return nil, err
	}
	err = p.await(ctx, 10*time.Millisecond, func() error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return &Redis{Process: p, Addr: addr, data: data}, nil
}
