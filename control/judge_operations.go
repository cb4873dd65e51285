package control

// judgeOperations are those that ask the engines that run for devices what
// they would do, or let them do it.
func (s *Server) judgeOperations() map[string]operation {
	return map[string]operation{
		"TestAuthorization":    op(s, s.testAuthorization),
		"GetEffectivePolicies": op(s, s.getEffectivePolicies),
		"RegisterThing":        op(s, s.registerThing),
	}
}
