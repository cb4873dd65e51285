package control

// settingsOperations are those of event, indexing and logging configuration.
func (s *Server) settingsOperations() map[string]operation {
	return map[string]operation{}
}
