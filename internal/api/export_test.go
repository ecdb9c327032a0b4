package api

// PermissionTable is the table of permissions.
var PermissionTable = permissions

// RecheckEvery is how often a caller who waits is asked for again.
const RecheckEvery = recheckEvery

// MaxGuesses is how many wrong keys an address may send.
const MaxGuesses = maxGuesses
