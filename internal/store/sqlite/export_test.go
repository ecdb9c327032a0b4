package sqlite

// Judged returns options under which the triggers of the schema keep counters and history and refuse what the rules do not allow, also to
// the service's own writer.
func Judged(o Options) Options {
	o.triggers = true
	return o
}
