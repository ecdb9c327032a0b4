// Package prometheus tells Prometheus how a server does.
package prometheus
