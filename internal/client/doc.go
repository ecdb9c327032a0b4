// Package client speaks to the queue over HTTP. *Client has the calls of the queue and is a task.Source, so that a worker runs against
// a remote queue as it does against one in its own process; errors are those of package task.
package client
