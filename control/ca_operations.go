package control

// caOperations are those of CA certificates and of certificates brought along.
func (s *Server) caOperations() map[string]operation {
	return map[string]operation{}
}
