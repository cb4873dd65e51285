package control

// ruleOperations are those of topic rules and their destinations.
func (s *Server) ruleOperations() map[string]operation {
	return map[string]operation{}
}
