// Package config is the configuration of the whole binary: what may be set, the defaults, how files, environment and flags are laid
// over each other, and the check that names everything that is wrong at once.
//
// The order is: defaults, then the file, then the environment, then the flags; the later wins.
package config
