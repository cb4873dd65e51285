package control

// caOperations are those of CA certificates and of certificates brought along.
func (s *Server) caOperations() map[string]operation {
	return map[string]operation{
		"RegisterCACertificate":        op(s, s.registerCA),
		"DescribeCACertificate":        op(s, s.describeCA),
		"UpdateCACertificate":          op(s, s.updateCA),
		"DeleteCACertificate":          op(s, s.deleteCA),
		"ListCACertificates":           op(s, s.listCAs),
		"ListCertificatesByCA":         op(s, s.listCertificatesByCA),
		"GetRegistrationCode":          op(s, s.getRegistrationCode),
		"DeleteRegistrationCode":       op(s, s.deleteRegistrationCode),
		"RegisterCertificate":          op(s, s.registerCertificate),
		"RegisterCertificateWithoutCA": op(s, s.registerCertificateWithoutCA),
	}
}
