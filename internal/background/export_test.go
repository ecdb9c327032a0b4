package background

// Asked reports whether a run that has not ended is to be cancelled.
func (m *Manager) Asked(runID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.drives[runID]
	return d != nil && d.cancelled()
}

// Shadows returns how many shadows are kept.
func (x *Router) Shadows() int {
	x.shadows.mu.Lock()
	defer x.shadows.mu.Unlock()
	return len(x.shadows.runs)
}

// Differ notes a difference.
func (x *Router) Differ(d Difference) { x.differ(d) }
