// Package app puts the parts together: it opens the database that the configuration names and runs the server or a worker until it is
// told to stop.
package app
