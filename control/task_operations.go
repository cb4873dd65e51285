package control

// taskOperations are those of bulk registration tasks.
func (s *Server) taskOperations() map[string]operation {
	return map[string]operation{}
}
