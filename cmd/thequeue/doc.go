// Command thequeue is The Queue: the server, a worker, and the tools to put tasks in and to look after them. docs/cli.md has every
// command, flag and exit code, docs/configuration.md every setting.
package main
