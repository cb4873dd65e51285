package policy

import "strconv"

// values looks up what is known of one connection.
type values struct {
	c   *Context
	alt [2]*altNames // of subject and issuer, once read
}

func (v *values) one(x *variable) (string, bool) {
	all := v.all(x)
	if x.index >= len(all) {
		return "", false
	}
	return all[x.index], true
}

// thing is the connection's thing. Over HTTPS there is no client id and no
// variable of a thing has a value (policies.md, section 2.1).
func (v *values) thing() *Thing {
	if !v.c.HasClientID {
		return nil
	}
	return v.c.Thing
}

// keyed gives the values that a condition key has: one, several, or none.
func (v *values) keyed(x *variable) []string {
	if x.many() {
		return v.all(x)
	}
	if one, ok := v.one(x); ok {
		return []string{one}
	}
	return nil
}

// all gives the values of a name in order. An empty text counts as no value.
func (v *values) all(x *variable) []string {
	switch x.of {
	case clientID:
		return some(v.c.ClientID, v.c.HasClientID)
	case sourceIP:
		if !v.c.SourceIP.IsValid() {
			return nil
		}
		return []string{v.c.SourceIP.Unmap().WithZone("").String()}
	case certificateID:
		return some(v.c.CertificateID, v.c.CertificateID != "")
	case connectAttributes:
		return v.c.ConnectAttributes
	case lastWillTopic:
		return some(TopicARN(v.c.Tenant, v.c.LastWillTopic), v.c.LastWillTopic != "")
	case directTopic:
		return some(v.c.Topic, true)
	case thingName, thingType, thingAttribute, thingAttached:
		return v.ofThing(x)
	}
	return v.ofCertificate(x)
}

func (v *values) ofThing(x *variable) []string {
	t := v.thing()
	if t == nil {
		return nil
	}
	switch x.of {
	case thingName:
		return some(t.Name, true)
	case thingType:
		return some(t.Type, true)
	case thingAttached:
		return []string{strconv.FormatBool(t.Attached)}
	}
	return some(t.Attributes[x.attr], true)
}

func some(text string, known bool) []string {
	if !known || text == "" {
		return nil
	}
	return []string{text}
}
