. "$(dirname "$0")/../lib.sh"

openssl ecparam -name prime256v1 -genkey -noout -out device.key
openssl req -new -key device.key -subj /CN=certificates -out device.csr

ok create-keys-and-certificate --set-as-active
is 'sort(keys(@))' '["certificateArn","certificateId","certificatePem","keyPair"]'
take made certificateId
take pem certificatePem
take private keyPair.PrivateKey
same_key() { [ "$(openssl x509 -noout -pubkey <<<"$1")" = "$(openssl pkey -pubout <<<"$2")" ] || fail "the key is not the certificate's"; }
same_key "$pem" "$private"
stranger create-keys-and-certificate

ok create-certificate-from-csr --certificate-signing-request file://device.csr
take signed certificateId
take arn certificateArn
take pem certificatePem
case $arn in arn:aws:iot:us-east-1:*:cert/$signed) ;; *) fail "the ARN is $arn" ;; esac
same_key "$pem" "$(<device.key)"
refuse InvalidRequestException "" create-certificate-from-csr --certificate-signing-request nothing

ok describe-certificate --certificate-id "$signed"
is 'certificateDescription.[certificateArn,certificateId,status,customerVersion,certificateMode]' "[\"$arn\",\"$signed\",\"INACTIVE\",1,\"DEFAULT\"]"
is 'certificateDescription.[type(creationDate),type(lastModifiedDate),type(validity.notBefore),type(validity.notAfter)]' '["number","number","number","number"]'
take again certificateDescription.certificatePem
[ "$again" = "$pem" ] || fail "the certificate changed"
unknown=$(printf '0%.0s' {1..64})
refuse ResourceNotFoundException "Certificate $unknown does not exist" describe-certificate --certificate-id "$unknown"
refuse InvalidRequestException "Member must satisfy regular expression pattern: (0x)?[a-fA-F0-9]+" describe-certificate --certificate-id "${unknown//0/x}"

ok list-certificates
is "certificates[?certificateId=='$signed'] | [0].[certificateArn,status,certificateMode]" "[\"$arn\",\"INACTIVE\",\"DEFAULT\"]"
is "certificates[?certificateId=='$made'] | [0].status" ACTIVE
ok list-certificates --no-paginate --page-size 1
is 'length(certificates)' 1
is 'certificates[0].certificateId' "$signed"
take marker nextMarker
ok list-certificates --no-paginate --page-size 1 --marker "$marker"
is 'certificates[0].certificateId' "$made"
refuse InvalidRequestException "token of the next page" list-certificates --marker bm90aGluZw==

ok update-certificate --certificate-id "$signed" --new-status ACTIVE
silent
ok describe-certificate --certificate-id "$signed"
is 'certificateDescription.status' ACTIVE
refuse ResourceNotFoundException "$unknown" update-certificate --certificate-id "$unknown" --new-status ACTIVE
refuse InvalidRequestException "Member must satisfy enum value set" update-certificate --certificate-id "$signed" --new-status ON
refuse CertificateStateException "cannot be set to PENDING_TRANSFER" update-certificate --certificate-id "$signed" --new-status PENDING_TRANSFER

refuse CertificateStateException "Certificate must be deactivated (not ACTIVE) before deletion. Id: $signed" delete-certificate --certificate-id "$signed"
ok update-certificate --certificate-id "$signed" --new-status INACTIVE
ok create-thing --thing-name certificates-a
ok attach-thing-principal --thing-name certificates-a --principal "$arn"
refuse DeleteConflictException "Things must be detached before deletion (arn: $arn)" delete-certificate --certificate-id "$signed"
ok detach-thing-principal --thing-name certificates-a --principal "$arn"
ok delete-certificate --certificate-id "$signed"
silent
refuse ResourceNotFoundException "$signed" delete-certificate --certificate-id "$signed"
ok delete-thing --thing-name certificates-a

ok update-certificate --certificate-id "$made" --new-status REVOKED
refuse CertificateStateException "REVOKED" update-certificate --certificate-id "$made" --new-status ACTIVE
ok delete-certificate --certificate-id "$made" --force-delete
