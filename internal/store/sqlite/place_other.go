//go:build !linux && !darwin && !freebsd && !dragonfly && !windows

package sqlite

func fileSystem(string) (kind string, known bool, err error) { return "", false, nil }
