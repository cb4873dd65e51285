. "$(dirname "$0")/../lib.sh"

cat >openssl.cnf <<'CNF'
[req]
distinguished_name = dn
x509_extensions = ca
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
CNF
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
authority() { # NAME makes NAME.key and NAME.pem
  key "$1"
  openssl req -config openssl.cnf -x509 -new -key "$1.key" -subj "/CN=tour $1" -days 30 -out "$1.pem"
}
signed() { # NAME COMMON-NAME CA makes NAME.pem
  key "$1"
  openssl req -config openssl.cnf -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA "$3.pem" -CAkey "$3.key" -set_serial "0x$(openssl rand -hex 8)" -days 30 -out "$1.pem" 2>/dev/null
}
authority first
authority second

# The registration code, which the verification certificate of a CA names.
ok get-registration-code
take code registrationCode
[[ $code =~ ^[0-9a-f]{64}$ ]] || fail "the registration code is $code"
ok get-registration-code
is 'registrationCode' "$code"
stranger get-registration-code delete-registration-code
signed proof "$code" first
signed wrong "${code:1}" first

refuse InvalidRequestException "verificationCertificate is missing" register-ca-certificate --ca-certificate file://first.pem
refuse RegistrationCodeValidationException "expected the registration code of account" \
  register-ca-certificate --ca-certificate file://first.pem --verification-certificate file://wrong.pem
refuse CertificateValidationException "is not PEM" register-ca-certificate --ca-certificate nothing --certificate-mode SNI_ONLY
ok register-ca-certificate --ca-certificate file://first.pem --verification-certificate file://proof.pem --set-as-active --allow-auto-registration --tags Key=made,Value=yes
is 'sort(keys(@))' '["certificateArn","certificateId"]'
take first certificateId
take arn certificateArn
case $arn in arn:aws:iot:us-east-1:*:cacert/$first) ;; *) fail "the ARN is $arn" ;; esac
refuse ResourceAlreadyExistsException "" register-ca-certificate --ca-certificate file://first.pem --verification-certificate file://proof.pem
ok register-ca-certificate --ca-certificate file://second.pem --certificate-mode SNI_ONLY
take second certificateId

ok describe-ca-certificate --certificate-id "$first"
is 'certificateDescription.[certificateId,certificateArn,status,autoRegistrationStatus,certificateMode,customerVersion]' "[\"$first\",\"$arn\",\"ACTIVE\",\"ENABLE\",\"DEFAULT\",1]"
is 'certificateDescription.[type(ownedBy),type(generationId),type(creationDate),type(validity.notAfter)]' '["string","string","number","number"]'
take pem certificateDescription.certificatePem
[ "$pem" = "$(<first.pem)"$'\n' ] || fail "the CA certificate changed"
ok describe-ca-certificate --certificate-id "$second"
is 'certificateDescription.[status,autoRegistrationStatus,certificateMode]' '["INACTIVE","DISABLE","SNI_ONLY"]'
unknown=$(printf '0%.0s' {1..64})
refuse ResourceNotFoundException "$unknown" describe-ca-certificate --certificate-id "$unknown"

ok tag-resource --resource-arn "$arn" --tags Key=site,Value=north
ok untag-resource --resource-arn "$arn" --tag-keys made
ok list-tags-for-resource --resource-arn "$arn"
is 'tags' '[{"Key":"site","Value":"north"}]'

ok list-ca-certificates
is "certificates[?certificateId=='$first'].[certificateArn,status]" "[[\"$arn\",\"ACTIVE\"]]"
refuse InvalidRequestException "token of the next page" list-ca-certificates --marker bm90aGluZw==

# Just-in-time provisioning: a template that a CA certificate names.
ok create-provisioning-template --template-name ca-jitp --type JITP --provisioning-role-arn arn:aws:iam::000000000000:role/p \
  --template-body '{"Parameters":{"AWS::IoT::Certificate::Id":{"Type":"String"}},"Resources":{"certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}}}}'
ok update-ca-certificate --certificate-id "$second" --new-status ACTIVE --new-auto-registration-status ENABLE --registration-config templateName=ca-jitp
silent
ok describe-ca-certificate --certificate-id "$second"
is '[certificateDescription.status,certificateDescription.autoRegistrationStatus,registrationConfig]' '["ACTIVE","ENABLE",{"templateName":"ca-jitp"}]'
ok list-ca-certificates --template-name ca-jitp
is 'certificates[].certificateId' "[\"$second\"]"
refuse DeleteConflictException "ca-jitp cannot be deleted" delete-provisioning-template --template-name ca-jitp
refuse ResourceNotFoundException "ca-none" update-ca-certificate --certificate-id "$second" --registration-config templateName=ca-none
refuse ResourceNotFoundException "$unknown" update-ca-certificate --certificate-id "$unknown" --new-status INACTIVE
ok update-ca-certificate --certificate-id "$second" --remove-auto-registration
ok describe-ca-certificate --certificate-id "$second"
is 'registrationConfig' null

# Certificates of such a CA, and of none.
signed device ca-device first
signed stray ca-stray second
ok register-certificate --certificate-pem file://device.pem --ca-certificate-pem file://first.pem --status INACTIVE
is 'sort(keys(@))' '["certificateArn","certificateId"]'
take device certificateId
[ "$device" = "$(openssl x509 -in device.pem -outform DER | sha256sum | cut -d' ' -f1)" ] || fail "the id $device is not the fingerprint"
refuse ResourceAlreadyExistsException "" register-certificate --certificate-pem file://device.pem
refuse CertificateValidationException "" register-certificate --certificate-pem file://stray.pem --ca-certificate-pem file://first.pem
refuse CertificateStateException "Not allowed to register certificate with PENDING_TRANSFER status" \
  register-certificate --certificate-pem file://stray.pem --status PENDING_TRANSFER
ok describe-certificate --certificate-id "$device"
is 'certificateDescription.[status,caCertificateId,certificateMode]' "[\"INACTIVE\",\"$first\",\"DEFAULT\"]"
ok list-certificates-by-ca --ca-certificate-id "$first"
is 'certificates[].certificateId' "[\"$device\"]"
refuse InvalidRequestException "at 'caCertificateId' failed" list-certificates-by-ca --ca-certificate-id "${unknown//0/x}"

ok register-certificate-without-ca --certificate-pem file://stray.pem --status ACTIVE
take stray certificateId
ok describe-certificate --certificate-id "$stray"
is 'certificateDescription.[status,certificateMode]' '["ACTIVE","SNI_ONLY"]'
refuse ResourceAlreadyExistsException "" register-certificate-without-ca --certificate-pem file://stray.pem
refuse CertificateValidationException "is not PEM" register-certificate-without-ca --certificate-pem nothing

refuse CertificateStateException "CA certificate must be deactivated (not ACTIVE) before deletion" delete-ca-certificate --certificate-id "$first"
ok update-certificate --certificate-id "$stray" --new-status INACTIVE
for id in "$device" "$stray"; do ok delete-certificate --certificate-id "$id"; done
for id in "$first" "$second"; do
  ok update-ca-certificate --certificate-id "$id" --new-status INACTIVE
  ok delete-ca-certificate --certificate-id "$id"
done
silent
refuse ResourceNotFoundException "$first" delete-ca-certificate --certificate-id "$first"
ok delete-provisioning-template --template-name ca-jitp
ok delete-registration-code
silent
refuse ResourceNotFoundException "no registration code" delete-registration-code
ok get-registration-code
take next registrationCode
[ "$next" != "$code" ] || fail "a deleted registration code came again"
