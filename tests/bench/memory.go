package main

import (
	"context"
	"errors"
	"time"

	"github.com/prismq/thequeue/tests/bench/server"
)

const mib = 1 << 20

// settleTime is how long an empty server may take to come to rest.
const settleTime = 500 * time.Millisecond

// memory is P12: the size of an empty server and of one with many tasks under load, and how soon it is ready with many.
func memory(ctx context.Context, h *Harness) error {
	if err := h.makeShelf(ctx, "many", h.Many); err != nil {
		return err
	}
	for round := 1; round <= h.Rounds; round++ {
		values := make(map[string]float64)
		err := h.withServer(ctx, "thequeue", func(s *server.HTTP) error {
			time.Sleep(settleTime)
			now, _, err := s.Resident()
			values["empty_MiB"] = float64(now) / mib
			return err
		})
		if err != nil {
			return err
		}
		s, err := server.StartQueue(ctx, h.program("thequeue"), h.shelfPath("many"), h.dir)
		if err != nil {
			return err
		}
		values["ready_ms"] = ms(s.Ready)
		_, err = closed(httpConns, h.loadTime(), newLoad(s.Addr, httpConns).life)
		_, most, sizeErr := s.Resident()
		values["loaded_MiB"] = float64(most) / mib
		if err := errors.Join(err, sizeErr, s.Stop()); err != nil {
			return err
		}
		if err := h.add(Measurement{Goal: "P12", Subject: "thequeue", Round: round, Values: values}); err != nil {
			return err
		}
	}
	h.judge("P12", "empty", h.values("P12", "thequeue", "empty_MiB"))
	h.judge("P12", "loaded", h.values("P12", "thequeue", "loaded_MiB"))
	h.judge("P12", "ready", h.values("P12", "thequeue", "ready_ms"))
	return nil
}
