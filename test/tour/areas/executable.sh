. "$(dirname "$0")/../lib.sh"

# Here the real executable runs, one process for each command, with jq as a
# person at a terminal would use it.
iot() { aws iot --output json "$@"; }
same() { [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""; }
refused() { # EXCEPTION COMMAND...
  local code=0
  iot "${@:2}" >out 2>err || code=$?
  same "the exit code of aws iot ${*:2}" 255 "$code"
  grep -q "^An error occurred ($1) when calling the [A-Za-z]* operation: ." err || fail "aws iot ${*:2}: $(<err)"
}

account=$(aws sts get-caller-identity | jq -r .Account)
iot create-thing --thing-name executable-a --attribute-payload 'attributes={serial=A1}' >thing.json
same "the thing's ARN" "arn:aws:iot:us-east-1:$account:thing/executable-a" "$(jq -r .thingArn thing.json)"
refused ResourceAlreadyExistsException create-thing --thing-name executable-a
same "its attribute and version" '["A1",1]' "$(iot describe-thing --thing-name executable-a | jq -c '[.attributes.serial, .version]')"
same "its name in a list" executable-a "$(iot list-things --attribute-name serial --attribute-value A1 --query 'things[].thingName' --output text)"
arn=$(iot create-keys-and-certificate --certificate-pem-outfile cert.pem --private-key-outfile key.pem | jq -r .certificateArn)
same "the certificate in the file" "$(openssl pkey -in key.pem -pubout)" "$(openssl x509 -in cert.pem -noout -pubkey)"
same "the answer of an attachment" "" "$(iot attach-thing-principal --thing-name executable-a --principal "$arn")"
refused InvalidRequestException delete-thing --thing-name executable-a
refused ResourceNotFoundException describe-thing --thing-name executable-none
iot detach-thing-principal --thing-name executable-a --principal "$arn"
iot delete-thing --thing-name executable-a
iot delete-certificate --certificate-id "${arn##*/}"
