// Package server starts the servers that the harness measures or needs, each on a free port of the loopback address, and ends each by its
// own process.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a server that runs.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
	err   error         // how it ended; set before ended is closed
	log   bytes.Buffer  // what it printed
}

// stopTimeout is how long a server may take to end by itself.
const stopTimeout = 15 * time.Second

// start runs the command, tied to this process.
func start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	Tie(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// await calls ready until it returns nil, and gives up when the process or ctx ends.
func (p *Process) await(ctx context.Context, every time.Duration, ready func() error) error {
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended: %w\n%s", p.cmd.Path, errors.Join(p.err, err), p.log.Bytes())
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(every):
		}
	}
}

// Stop asks the process to end with the signal, waits for it, and kills it when it takes too long.
func (p *Process) stop(sig os.Signal) error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended by itself: %w\n%s", p.cmd.Path, p.err, p.log.Bytes())
	default:
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
		err := errors.Join(fmt.Errorf("%s did not end within %s", p.cmd.Path, stopTimeout), p.cmd.Process.Kill())
		<-p.ended
		return err
	}
}

// Stop asks the process to end and waits for it.
func (p *Process) Stop() error { return p.stop(syscall.SIGTERM) }

// CPU is the processor time that the process has used so far, user and system.
func (p *Process) CPU() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from the third field on
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every platform of Linux that Go knows
	return time.Duration(ticks) * tick, nil
}

// Resident is the memory that the process has resident now, and the most it ever had, in bytes.
func (p *Process) Resident() (now, most int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for name, v := range map[string]*int64{"VmRSS:": &now, "VmHWM:": &most} {
		_, after, ok := strings.Cut(string(b), name)
		if !ok {
			return 0, 0, fmt.Errorf("no %s in the status of the process", name)
		}
		if *v, err = strconv.ParseInt(strings.Fields(after)[0], 10, 64); err != nil {
			return 0, 0, err
		}
		*v *= 1024
	}
	return now, most, nil
}

// freeAddress returns an address of the loopback interface on which nobody listens just now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
