package control

// ruleOperations are those of topic rules and their destinations.
func (s *Server) ruleOperations() map[string]operation {
	return map[string]operation{
		"CreateTopicRule":             op(s, s.createTopicRule),
		"GetTopicRule":                op(s, s.getTopicRule),
		"ReplaceTopicRule":            op(s, s.replaceTopicRule),
		"DeleteTopicRule":             op(s, s.deleteTopicRule),
		"ListTopicRules":              op(s, s.listTopicRules),
		"EnableTopicRule":             op(s, s.enableTopicRule),
		"DisableTopicRule":            op(s, s.disableTopicRule),
		"CreateTopicRuleDestination":  op(s, s.createTopicRuleDestination),
		"GetTopicRuleDestination":     op(s, s.getTopicRuleDestination),
		"UpdateTopicRuleDestination":  op(s, s.updateTopicRuleDestination),
		"DeleteTopicRuleDestination":  op(s, s.deleteTopicRuleDestination),
		"ListTopicRuleDestinations":   op(s, s.listTopicRuleDestinations),
		"ConfirmTopicRuleDestination": op(s, s.confirmTopicRuleDestination),
	}
}
