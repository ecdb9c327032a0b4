// Package testdb gives each test a fresh, migrated database of its own on either engine.
//
// PostgreSQL comes from the first of these that is there: the server that TEST_POSTGRES_URL names, on which databases may be created;
// a container, if Docker answers (its image is TEST_POSTGRES_IMAGE, or postgres:15-alpine); the server binaries of this machine, started in a
// temporary directory. What one of the two variables asks for must work. With none of them the test is skipped, or fails when CI=true.
// A server that this package starts does not wait for the disk unless TEST_POSTGRES_FSYNC=on.
//
// A test binary starts one server, brings one template database to the schema of the binary, and copies it for each test.
package testdb
