package control

// settingsOperations are those of event, indexing and logging configuration.
func (s *Server) settingsOperations() map[string]operation {
	return map[string]operation{
		"DescribeEventConfigurations": op(s, s.describeEvents),
		"UpdateEventConfigurations":   op(s, s.updateEvents),
		"GetIndexingConfiguration":    op(s, s.getIndexing),
		"UpdateIndexingConfiguration": op(s, s.updateIndexing),
		"GetLoggingOptions":           op(s, s.getLogging),
		"SetLoggingOptions":           op(s, s.setLogging),
		"GetV2LoggingOptions":         op(s, s.getLoggingV2),
		"SetV2LoggingOptions":         op(s, s.setLoggingV2),
		"SetV2LoggingLevel":           op(s, s.setLogLevel),
		"DeleteV2LoggingLevel":        op(s, s.deleteLogLevel),
		"ListV2LoggingLevels":         op(s, s.listLogLevels),
	}
}
