package control

// accessOperations are those of role aliases, authorizers and domain
// configurations: how else a device may come in.
func (s *Server) accessOperations() map[string]operation {
	return map[string]operation{}
}
