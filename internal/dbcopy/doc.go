// Package dbcopy moves a store from one engine to the other, every row as it is, while the service runs.
package dbcopy
