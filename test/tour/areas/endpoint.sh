. "$(dirname "$0")/../lib.sh"

ok describe-endpoint --endpoint-type iot:Data-ATS
take host endpointAddress
for type in iot:Data iot:CredentialProvider iot:Jobs; do
  ok describe-endpoint --endpoint-type "$type"
  is 'endpointAddress' "$host"
done
ok describe-endpoint
is '@' "{\"endpointAddress\":\"$host\"}"
refuse InvalidRequestException "expected one of iot:Data-ATS" describe-endpoint --endpoint-type iot:Shadow
