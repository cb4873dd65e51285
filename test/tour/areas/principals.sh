. "$(dirname "$0")/../lib.sh"

certificate() { # NAME puts the ARN of a new certificate into $NAME
  ok create-keys-and-certificate
  take "$1" certificateArn
}
certificate one
certificate two
certificate none
ok delete-certificate --certificate-id "${none##*/}"
for name in a b c; do ok create-thing --thing-name "principals-$name"; done

ok attach-thing-principal --thing-name principals-a --principal "$one"
silent
ok attach-thing-principal --thing-name principals-b --principal "$one" --thing-principal-type NON_EXCLUSIVE_THING
ok attach-thing-principal --thing-name principals-c --principal "$two" --thing-principal-type EXCLUSIVE_THING
refuse ResourceNotFoundException "does not exist" attach-thing-principal --thing-name principals-a --principal "$none"
refuse ResourceNotFoundException "principals-none" attach-thing-principal --thing-name principals-none --principal "$one"
refuse InvalidRequestException "EXCLUSIVE_THING and cannot be attached" attach-thing-principal --thing-name principals-a --principal "$two"

ok list-thing-principals --thing-name principals-a
is 'principals' "[\"$one\"]"
refuse ResourceNotFoundException "Failed to list principals for thing principals-none because the thing does not exist in your account" \
  list-thing-principals --thing-name principals-none
ok list-thing-principals-v2 --thing-name principals-c
is 'thingPrincipalObjects' "[{\"principal\":\"$two\",\"thingPrincipalType\":\"EXCLUSIVE_THING\"}]"
ok list-thing-principals-v2 --thing-name principals-c --thing-principal-type NON_EXCLUSIVE_THING
is 'thingPrincipalObjects' '[]'
refuse ResourceNotFoundException "principals-none" list-thing-principals-v2 --thing-name principals-none

ok list-principal-things --principal "$one"
is 'things' '["principals-a","principals-b"]'
refuse ResourceNotFoundException "does not exist" list-principal-things --principal "$none"
ok list-principal-things-v2 --principal "$two"
is 'principalThingObjects' '[{"thingName":"principals-c","thingPrincipalType":"EXCLUSIVE_THING"}]'
refuse ResourceNotFoundException "does not exist" list-principal-things-v2 --principal "$none"

refuse InvalidRequestException "Cannot delete. Thing principals-a is still attached to one or more principals" delete-thing --thing-name principals-a
ok detach-thing-principal --thing-name principals-a --principal "$one"
silent
ok detach-thing-principal --thing-name principals-a --principal "$one"
refuse InvalidRequestException "is not an ARN" detach-thing-principal --thing-name principals-a --principal nobody
ok list-principal-things --principal "$one"
is 'things' '["principals-b"]'

ok detach-thing-principal --thing-name principals-b --principal "$one"
ok detach-thing-principal --thing-name principals-c --principal "$two"
for name in a b c; do ok delete-thing --thing-name "principals-$name"; done
for arn in "$one" "$two"; do ok delete-certificate --certificate-id "${arn##*/}"; done
