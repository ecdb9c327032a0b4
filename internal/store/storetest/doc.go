// Package storetest is the conformance suite of package store: every semantic and every error written there, stated as a test that
// each adapter passes by calling Run from its own tests.
//
// One file per role, one function per behaviour. Nothing reads a clock: time is the argument that each call is given, counted
// from the fixed instant start. All draws have fixed seeds, so a run that passed passes again; only the tests of concurrency depend on
// the scheduler, and they assert what holds in every interleaving.
package storetest
