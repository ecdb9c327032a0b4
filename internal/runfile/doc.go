// Package runfile reads and writes the file in which the older task manager's registry keeps its runs: a JSON object of runs by their id.
package runfile
