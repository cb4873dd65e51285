. "$(dirname "$0")/../lib.sh"

ok create-thing --thing-name things-a --attribute-payload 'attributes={serial=A1,colour=red}'
is 'sort(keys(@))' '["thingArn","thingId","thingName"]'
is 'thingName' things-a
take arn thingArn
take id thingId
case $arn in arn:aws:iot:us-east-1:*:thing/things-a) ;; *) fail "the ARN is $arn" ;; esac
ok create-thing --thing-name things-a --attribute-payload 'attributes={serial=A1,colour=red}'
is 'thingId' "$id"
refuse ResourceAlreadyExistsException "Thing things-a already exists in account with different attributes" \
  create-thing --thing-name things-a
refuse ResourceNotFoundException "things-none" create-thing --thing-name things-b --thing-type-name things-none
refuse InvalidRequestException "There are 4 attributes; the limit is 3" \
  create-thing --thing-name things-b --attribute-payload 'attributes={a=1,b=2,c=3,d=4}'
refuse InvalidRequestException "2 validation errors detected: Value 'things b' at 'thingName' failed to satisfy constraint" \
  create-thing --thing-name 'things b' --billing-group-name 'no name'

ok describe-thing --thing-name things-a
is '@' "{\"attributes\":{\"colour\":\"red\",\"serial\":\"A1\"},\"defaultClientId\":\"things-a\",\"thingArn\":\"$arn\",\"thingId\":\"$id\",\"thingName\":\"things-a\",\"version\":1}"
refuse ResourceNotFoundException "Thing things-b does not exist" describe-thing --thing-name things-b

ok update-thing --thing-name things-a --attribute-payload 'attributes={colour=,site=plant},merge=true' --expected-version 1
silent
ok describe-thing --thing-name things-a
is '[attributes,version]' '[{"serial":"A1","site":"plant"},2]'
ok update-thing --thing-name things-a --attribute-payload 'attributes={serial=A2}'
ok describe-thing --thing-name things-a
is '[attributes,version]' '[{"serial":"A2"},3]'
refuse VersionConflictException "The version for thing things-a does not match the expected version." \
  update-thing --thing-name things-a --attribute-payload 'attributes={serial=A3}' --expected-version 2
refuse ResourceNotFoundException "things-b" update-thing --thing-name things-b --attribute-payload 'attributes={a=1}'
ok describe-thing --thing-name things-a
is '[attributes,version]' '[{"serial":"A2"},3]'

for name in b c d; do
  ok create-thing --thing-name "things-$name" --attribute-payload "attributes={serial=X-$name,lot=7}"
done
ok list-things --attribute-name lot --attribute-value 7
is 'things[].thingName' '["things-b","things-c","things-d"]'
is 'things[0].[attributes,version]' '[{"lot":"7","serial":"X-b"},1]'
ok list-things --attribute-name serial --attribute-value X- --use-prefix-attribute-value
is 'things[].thingName' '["things-b","things-c","things-d"]'
ok list-things --attribute-name lot --attribute-value 7 --page-size 1 --max-items 2
is 'things[].thingName' '["things-b","things-c"]'
take token NextToken
ok list-things --attribute-name lot --attribute-value 7 --page-size 1 --starting-token "$token"
is 'things[].thingName' '["things-d"]'
refuse InvalidRequestException "Value '251' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 250" \
  list-things --max-results 251
refuse InvalidRequestException "token of the next page" list-things --next-token bm90aGluZw==

refuse VersionConflictException "thing things-a" delete-thing --thing-name things-a --expected-version 1
for name in a b c d; do ok delete-thing --thing-name "things-$name"; done
silent
refuse ResourceNotFoundException "things-a" describe-thing --thing-name things-a
ok delete-thing --thing-name things-a
