. "$(dirname "$0")/../lib.sh"

role=arn:aws:iam::000000000000:role
function=arn:aws:lambda:us-east-1:000000000000:function

# Role aliases.
ok create-role-alias --role-alias access-a --role-arn "$role/one" --credential-duration-seconds 1800 --tags Key=made,Value=yes
is 'roleAlias' access-a
take arn roleAliasArn
case $arn in arn:aws:iot:us-east-1:*:rolealias/access-a) ;; *) fail "the ARN is $arn" ;; esac
ok create-role-alias --role-alias access-b --role-arn "$role/two"
refuse ResourceAlreadyExistsException "RoleAlias cannot be created - already exists (name=access-a)" \
  create-role-alias --role-alias access-a --role-arn "$role/one"
refuse InvalidRequestException "at 'credentialDurationSeconds' failed to satisfy constraint" \
  create-role-alias --role-alias access-c --role-arn "$role/one" --credential-duration-seconds 43201

ok describe-role-alias --role-alias access-a
is 'roleAliasDescription.[roleAlias,roleAliasArn,roleArn,credentialDurationSeconds]' "[\"access-a\",\"$arn\",\"$role/one\",1800]"
is 'roleAliasDescription.[type(owner),type(creationDate),type(lastModifiedDate)]' '["string","number","number"]'
ok describe-role-alias --role-alias access-b
is 'roleAliasDescription.credentialDurationSeconds' 3600
refuse ResourceNotFoundException "access-none" describe-role-alias --role-alias access-none

ok list-role-aliases
is "roleAliases[?starts_with(@,'access-')]" '["access-a","access-b"]'
ok list-role-aliases --no-ascending-order
is "roleAliases[?starts_with(@,'access-')]" '["access-b","access-a"]'
refuse InvalidRequestException "token of the next page" list-role-aliases --marker bm90aGluZw==

ok update-role-alias --role-alias access-a --role-arn "$role/three"
is '@' "{\"roleAlias\":\"access-a\",\"roleAliasArn\":\"$arn\"}"
ok describe-role-alias --role-alias access-a
is 'roleAliasDescription.[roleArn,credentialDurationSeconds]' "[\"$role/three\",1800]"
refuse ResourceNotFoundException "access-none" update-role-alias --role-alias access-none --role-arn "$role/three"

for name in a b; do ok delete-role-alias --role-alias "access-$name"; done
silent
refuse ResourceNotFoundException "access-a" delete-role-alias --role-alias access-a

# Authorizers.
openssl genrsa -out token.key 2048 2>/dev/null
openssl rsa -in token.key -pubout -out token.pub 2>/dev/null
jq -n --rawfile key token.pub '{first: $key}' >keys.json

stranger describe-default-authorizer clear-default-authorizer
refuse ResourceNotFoundException "no default authorizer" describe-default-authorizer
refuse ResourceNotFoundException "no default authorizer" clear-default-authorizer
ok create-authorizer --authorizer-name access-a --authorizer-function-arn "$function:a" --token-key-name X-Token \
  --token-signing-public-keys file://keys.json --status ACTIVE --enable-caching-for-http
is 'authorizerName' access-a
take arn authorizerArn
case $arn in arn:aws:iot:us-east-1:*:authorizer/access-a) ;; *) fail "the ARN is $arn" ;; esac
ok create-authorizer --authorizer-name access-b --authorizer-function-arn "$function:b" --signing-disabled
refuse ResourceAlreadyExistsException "access-a" create-authorizer --authorizer-name access-a --authorizer-function-arn "$function:other" --signing-disabled
refuse InvalidRequestException "tokenSigningPublicKeys" create-authorizer --authorizer-name access-c --authorizer-function-arn "$function:c"

ok describe-authorizer --authorizer-name access-a
is 'authorizerDescription.[authorizerName,authorizerArn,authorizerFunctionArn,tokenKeyName,status,signingDisabled,enableCachingForHttp]' \
  "[\"access-a\",\"$arn\",\"$function:a\",\"X-Token\",\"ACTIVE\",false,true]"
take key authorizerDescription.tokenSigningPublicKeys.first
[ "$key" = "$(<token.pub)"$'\n' ] || fail "the key changed: $key"
ok describe-authorizer --authorizer-name access-b
is 'authorizerDescription.[status,signingDisabled,enableCachingForHttp]' '["INACTIVE",true,false]'
refuse ResourceNotFoundException "access-none" describe-authorizer --authorizer-name access-none

ok list-authorizers
is "authorizers[?starts_with(authorizerName,'access-')].authorizerName" '["access-a","access-b"]'
ok list-authorizers --status ACTIVE
is 'authorizers' "[{\"authorizerArn\":\"$arn\",\"authorizerName\":\"access-a\"}]"
refuse InvalidRequestException "at 'status' failed to satisfy constraint: Member must satisfy enum value set" list-authorizers --status ON

ok update-authorizer --authorizer-name access-b --authorizer-function-arn "$function:two"
is 'authorizerName' access-b
ok describe-authorizer --authorizer-name access-b
is 'authorizerDescription.authorizerFunctionArn' "$function:two"
refuse ResourceNotFoundException "access-none" update-authorizer --authorizer-name access-none --status ACTIVE

ok set-default-authorizer --authorizer-name access-a
is '@' "{\"authorizerArn\":\"$arn\",\"authorizerName\":\"access-a\"}"
refuse ResourceAlreadyExistsException "access-a already" set-default-authorizer --authorizer-name access-b
refuse ResourceNotFoundException "access-none" set-default-authorizer --authorizer-name access-none
ok describe-default-authorizer
is 'authorizerDescription.authorizerArn' "$arn"

# What a function says of a made-up connection.
slipway function add access-judge --program "$here/judge.py" >/dev/null
ok update-authorizer --authorizer-name access-a --authorizer-function-arn "$function:access-judge"
sign() { printf %s "$1" | openssl dgst -sha256 -sign token.key | openssl base64 -A; }
try() { printf '%s\0' --authorizer-name access-a --token "$1" --token-signature "$2" --mqtt-context clientId=lamp; }
mapfile -d '' allowed < <(try allow "$(sign allow)")
ok test-invoke-authorizer "${allowed[@]}"
is '[isAuthenticated,principalId,disconnectAfterInSeconds,refreshAfterInSeconds,length(policyDocuments)]' '[true,"lamp",3600,600,1]'
mapfile -d '' denied < <(try deny "$(sign deny)")
ok test-invoke-authorizer "${denied[@]}"
is '@' '{"isAuthenticated":false,"policyDocuments":[]}'
mapfile -d '' forged < <(try allow "$(sign deny)")
refuse UnauthorizedException "does not fit any of the public keys" test-invoke-authorizer "${forged[@]}"
mapfile -d '' odd < <(try odd "$(sign odd)")
refuse InvalidResponseException "isAuthenticated is a string" test-invoke-authorizer "${odd[@]}"
refuse InvalidRequestException "came without its signature" test-invoke-authorizer --authorizer-name access-a --token allow
refuse InvalidResponseException "function add" test-invoke-authorizer --authorizer-name access-b
refuse ResourceNotFoundException "access-none" test-invoke-authorizer --authorizer-name access-none

refuse DeleteConflictException "access-a is ACTIVE" delete-authorizer --authorizer-name access-a
ok clear-default-authorizer
silent
ok update-authorizer --authorizer-name access-a --status INACTIVE
for name in a b; do ok delete-authorizer --authorizer-name "access-$name"; done
silent
refuse ResourceNotFoundException "access-a" delete-authorizer --authorizer-name access-a

# Domain configurations.
ok describe-endpoint
take host endpointAddress
ok create-domain-configuration --domain-configuration-name access-a --service-type DATA --tags Key=made,Value=yes
is 'domainConfigurationName' access-a
take arn domainConfigurationArn
[[ $arn =~ ^arn:aws:iot:us-east-1:[0-9]{12}:domainconfiguration/access-a/[a-z0-9]{5}$ ]] || fail "the ARN is $arn"
refuse ResourceAlreadyExistsException "access-a" create-domain-configuration --domain-configuration-name access-a --service-type JOBS
refuse InvalidRequestException "is not a fully qualified host name" create-domain-configuration --domain-configuration-name access-b \
  --domain-name nowhere --server-certificate-arns arn:aws:acm:us-east-1:000000000000:certificate/1
refuse InvalidRequestException "is a name of this server itself" create-domain-configuration --domain-configuration-name access-b \
  --domain-name "mine.$host" --server-certificate-arns arn:aws:acm:us-east-1:000000000000:certificate/1
ok create-domain-configuration --domain-configuration-name access-b --domain-name devices.example.com \
  --server-certificate-arns arn:aws:acm:us-east-1:000000000000:certificate/1

ok describe-domain-configuration --domain-configuration-name access-a
is '[domainConfigurationName,domainConfigurationArn,domainConfigurationStatus,serviceType,domainType,domainName]' \
  "[\"access-a\",\"$arn\",\"ENABLED\",\"DATA\",\"AWS_MANAGED\",\"${arn##*/}.$host\"]"
is 'type(lastStatusChangeDate)' number
ok describe-domain-configuration --domain-configuration-name access-b
is '[domainName,domainType,serverCertificates]' \
  '["devices.example.com","CUSTOMER_MANAGED",[{"serverCertificateArn":"arn:aws:acm:us-east-1:000000000000:certificate/1","serverCertificateStatus":"VALID"}]]'
refuse ResourceNotFoundException "access-none" describe-domain-configuration --domain-configuration-name access-none

ok list-domain-configurations
is "domainConfigurations[?starts_with(domainConfigurationName,'access-')].domainConfigurationName" '["access-a","access-b"]'
refuse InvalidRequestException "at 'serviceType'" list-domain-configurations --service-type OTHER

refuse InvalidRequestException "DISABLED before it can be deleted" delete-domain-configuration --domain-configuration-name access-a
ok update-domain-configuration --domain-configuration-name access-a --domain-configuration-status DISABLED \
  --tls-config securityPolicy=IoTSecurityPolicy_TLS13_1_2_2022_10
is '@' "{\"domainConfigurationArn\":\"$arn\",\"domainConfigurationName\":\"access-a\"}"
ok describe-domain-configuration --domain-configuration-name access-a
is '[domainConfigurationStatus,tlsConfig.securityPolicy]' '["DISABLED","IoTSecurityPolicy_TLS13_1_2_2022_10"]'
refuse ResourceNotFoundException "access-none" update-domain-configuration --domain-configuration-name access-none --domain-configuration-status DISABLED
ok update-domain-configuration --domain-configuration-name access-b --domain-configuration-status DISABLED
for name in a b; do ok delete-domain-configuration --domain-configuration-name "access-$name"; done
silent
refuse ResourceNotFoundException "access-a" delete-domain-configuration --domain-configuration-name access-a
