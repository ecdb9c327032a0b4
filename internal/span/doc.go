// Package span carries traces from one process to the next, in the form of W3C Trace Context.
package span
