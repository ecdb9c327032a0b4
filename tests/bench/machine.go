package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Machine is where the figures come from.
type Machine struct {
	CPU        string
	Cores      int
	Kernel     string
	FileSystem string // of the directory of data
	Go         string
	Load       string // the load averages when the run began
	Fsyncs     float64
}

// lookAround describes this machine; dir is where the data are.
func lookAround(dir string) (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), CPU: runtime.GOARCH, Kernel: runtime.GOOS, FileSystem: "unknown"}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(b), "model name"); ok {
			name, _, _ := strings.Cut(after, "\n")
			m.CPU = strings.Trim(name, "\t :")
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(b))[:3], " ")
	}
	if out, err := exec.Command("df", "--output=fstype", dir).Output(); err == nil {
		if lines := strings.Fields(string(out)); len(lines) == 2 {
			m.FileSystem = lines[1]
		}
	}
	var err error
	m.Fsyncs, err = fsyncRate(dir)
	return m, err
}

// fsyncTime is how long the fsync rate is measured.
const fsyncTime = 500 * time.Millisecond

// fsyncRate appends pages of 4 KiB to a file, syncs each, and returns how many go in a second.
func fsyncRate(dir string) (_ float64, err error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
		if e := os.Remove(f.Name()); err == nil {
			err = e
		}
	}()
	page := make([]byte, 4096)
	n, begin := 0, time.Now()
	for ; time.Since(begin) < fsyncTime; n++ {
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

// String is one line.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s, %s (%.0f fsyncs of 4 KiB a second), %s, load at the start %s",
		m.CPU, m.Cores, m.Kernel, m.FileSystem, m.Fsyncs, m.Go, m.Load)
}
