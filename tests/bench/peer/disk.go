package peer

import (
	"context"
	"errors"

	"github.com/prismq/thequeue/tests/bench/bare"
	"github.com/prismq/thequeue/tests/bench/trial"
)

// Disk is the disk alone: what it calls enqueueing is to write a page and to sync it.
type Disk struct{}

func (Disk) Name() string { return "disk" }

func (Disk) Modules() []string { return nil }

// Workers is none: nothing can be taken.
func (Disk) Workers(int) int { return 0 }

func (Disk) Open(_ context.Context, s trial.Spec) (Queue, error) {
	d, err := bare.OpenDisk(s.Dir)
	if err != nil {
		return nil, err
	}
	return disk{d}, nil
}

type disk struct{ *bare.Disk }

func (d disk) Enqueue(context.Context) error         { return d.Sync() }
func (disk) EnqueueBatch(context.Context, int) error { return errors.ErrUnsupported }
func (disk) Work(context.Context, int, func()) error { return errors.ErrUnsupported }
func (disk) Settings() string {
	return "pages of 4 KiB of a file that does not grow, fdatasync after each"
}
