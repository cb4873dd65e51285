. "$(dirname "$0")/../lib.sh"

ok create-thing-type --thing-type-name types-lamp --thing-type-properties \
  'thingTypeDescription=A lamp,searchableAttributes=serial,colour' --tags Key=team,Value=light
is 'thingTypeName' types-lamp
is "contains(thingTypeArn, ':thingtype/types-lamp')" true
take arn thingTypeArn
take id thingTypeId
refuse ResourceAlreadyExistsException "types-lamp already exists" create-thing-type --thing-type-name types-lamp
refuse InvalidRequestException "at 'thingTypeName' failed to satisfy constraint: Member must satisfy regular expression pattern" \
  create-thing-type --thing-type-name 'a lamp'

ok describe-thing-type --thing-type-name types-lamp
is 'thingTypeArn' "$arn"
is 'thingTypeId' "$id"
is 'thingTypeProperties' '{"searchableAttributes":["serial","colour"],"thingTypeDescription":"A lamp"}'
is 'thingTypeMetadata.deprecated' false
refuse ResourceNotFoundException "types-none does not exist" describe-thing-type --thing-type-name types-none

ok list-thing-types
is "thingTypes[?thingTypeName=='types-lamp'] | [0].thingTypeProperties.thingTypeDescription" "A lamp"
ok list-thing-types --thing-type-name types-none
is 'thingTypes' '[]'
refuse InvalidRequestException "token of the next page" list-thing-types --next-token bm90aGluZw==

ok update-thing-type --thing-type-name types-lamp --thing-type-properties searchableAttributes=serial
silent
ok describe-thing-type --thing-type-name types-lamp
is 'thingTypeProperties' '{"searchableAttributes":["serial"],"thingTypeDescription":"A lamp"}'
refuse ResourceNotFoundException "types-none" update-thing-type --thing-type-name types-none
refuse InvalidRequestException "4 searchable attributes; the limit is 3" \
  update-thing-type --thing-type-name types-lamp --thing-type-properties searchableAttributes=a,b,c,d

refuse InvalidRequestException "must be deprecated first" delete-thing-type --thing-type-name types-lamp
ok deprecate-thing-type --thing-type-name types-lamp
silent
ok describe-thing-type --thing-type-name types-lamp
is 'thingTypeMetadata.deprecated' true
is 'type(thingTypeMetadata.deprecationDate)' number
refuse InvalidRequestException "depreated thing type:types-lamp" create-thing --thing-name types-1 --thing-type-name types-lamp
ok deprecate-thing-type --thing-type-name types-lamp --undo-deprecate
ok create-thing --thing-name types-1 --thing-type-name types-lamp
refuse ResourceNotFoundException "types-none" deprecate-thing-type --thing-type-name types-none

ok deprecate-thing-type --thing-type-name types-lamp
refuse InvalidRequestException "thing types-1 still has it" delete-thing-type --thing-type-name types-lamp
ok delete-thing --thing-name types-1
ok delete-thing-type --thing-type-name types-lamp
silent
refuse ResourceNotFoundException "types-lamp" describe-thing-type --thing-type-name types-lamp
refuse ResourceNotFoundException "types-lamp" delete-thing-type --thing-type-name types-lamp
