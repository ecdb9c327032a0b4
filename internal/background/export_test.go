package background

// Asked reports whether a run that has not ended is to be cancelled.
func (m *Manager) Asked(runID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.drives[runID]
	return d != nil && d.cancelled()
}
