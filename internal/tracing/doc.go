// Package tracing sends the spans of the queue and its workers to a collector of OpenTelemetry, over OTLP in HTTP.
package tracing
