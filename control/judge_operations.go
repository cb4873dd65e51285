package control

// judgeOperations are those that ask the policy engine what it would decide.
func (s *Server) judgeOperations() map[string]operation {
	return map[string]operation{}
}
