package settings

// managed gives the fields that are indexed and typed without being asked for
// (AWS IoT Developer Guide, "Manage thing indexing").
func (in ThingIndexing) managed() []Field {
	if in.Mode == Off {
		return nil
	}
	fields := []Field{
		{"thingName", "String"}, {"thingId", "String"}, {"registry.version", "Number"},
		{"registry.thingTypeName", "String"}, {"registry.thingGroupNames", "String"},
	}
	if in.Mode == "REGISTRY_AND_SHADOW" {
		fields = append(fields, Field{"shadow.version", "Number"}, Field{"shadow.hasDelta", "Boolean"})
	}
	if in.NamedShadows != Off {
		fields = append(fields, Field{"shadow.name.*.version", "Number"}, Field{"shadow.name.*.hasDelta", "Boolean"})
	}
	if in.Connectivity != Off {
		fields = append(fields,
			Field{"connectivity.connected", "Boolean"}, Field{"connectivity.timestamp", "Number"},
			Field{"connectivity.version", "Number"}, Field{"connectivity.disconnectReason", "String"})
	}
	if in.Defender != Off {
		fields = append(fields, Field{"deviceDefender.violationCount", "Number"})
	}
	return fields
}

func (in GroupIndexing) managed() []Field {
	if in.Mode == Off {
		return nil
	}
	return []Field{
		{"thingGroupName", "String"}, {"thingGroupId", "String"}, {"description", "String"},
		{"parentGroupNames", "String"}, {"version", "Number"},
	}
}
