// Package api is the HTTP face of the queue: it reads a request, calls one method of the queue (or of its Reader) and writes
// what comes back. routes.go is the whole surface, errors.go the one table from errors to answers, openapi.yaml the contract
// with clients, served as /openapi.json and as a page at /api.
//
// Requests are read strictly: names may not repeat, text is UTF-8, numbers are not strings, nothing follows the value. The five
// endpoints that older clients use ignore fields that they do not know; every other one refuses them. Payloads, compatibility
// objects and results go out byte for byte as they came in.
package api
