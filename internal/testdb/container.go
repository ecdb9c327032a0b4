package testdb

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
)

// containerTimeout allows for an image that must be fetched first.
const containerTimeout = 3 * time.Minute

func startContainer(ctx context.Context, image string) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, containerTimeout)
	defer cancel()
	if err := dockerAnswers(ctx); err != nil {
		return nil, fmt.Errorf("no Docker: %w", err)
	}
	// The port of a container may be open to the network: the password is not to be guessed.
	c, err := postgres.Run(ctx, image, postgres.WithPassword(rand.Text()), testcontainers.WithCmd(append([]string{"postgres"}, settings()...)...), postgres.BasicWaitStrategies())
	stop := func() error { return testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0)) }
	if err == nil {
		var u string
		if u, err = c.ConnectionString(ctx, "sslmode=disable"); err == nil {
			return &server{url: u, stop: stop}, nil
		}
	}
	if c != nil {
		_ = stop() // the first error says more
	}
	return nil, fmt.Errorf("container of %s: %w", image, err)
}

// dockerAnswers turns the panic with which the library answers a missing Docker into an error.
func dockerAnswers(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	p, err := testcontainers.ProviderDefault.GetProvider()
	if err != nil {
		return err
	}
	defer p.Close()
	return p.Health(ctx)
}
