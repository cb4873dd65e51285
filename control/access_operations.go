package control

// accessOperations are those of role aliases, authorizers and domain
// configurations: how else a device may come in.
func (s *Server) accessOperations() map[string]operation {
	return map[string]operation{
		"CreateRoleAlias":             op(s, s.createRoleAlias),
		"DescribeRoleAlias":           op(s, s.describeRoleAlias),
		"UpdateRoleAlias":             op(s, s.updateRoleAlias),
		"DeleteRoleAlias":             op(s, s.deleteRoleAlias),
		"ListRoleAliases":             op(s, s.listRoleAliases),
		"CreateAuthorizer":            op(s, s.createAuthorizer),
		"DescribeAuthorizer":          op(s, s.describeAuthorizer),
		"UpdateAuthorizer":            op(s, s.updateAuthorizer),
		"DeleteAuthorizer":            op(s, s.deleteAuthorizer),
		"ListAuthorizers":             op(s, s.listAuthorizers),
		"SetDefaultAuthorizer":        op(s, s.setDefaultAuthorizer),
		"DescribeDefaultAuthorizer":   op(s, s.describeDefaultAuthorizer),
		"ClearDefaultAuthorizer":      op(s, s.clearDefaultAuthorizer),
		"TestInvokeAuthorizer":        op(s, s.testInvokeAuthorizer),
		"CreateDomainConfiguration":   op(s, s.createDomain),
		"DescribeDomainConfiguration": op(s, s.describeDomain),
		"UpdateDomainConfiguration":   op(s, s.updateDomain),
		"DeleteDomainConfiguration":   op(s, s.deleteDomain),
		"ListDomainConfigurations":    op(s, s.listDomains),
	}
}
