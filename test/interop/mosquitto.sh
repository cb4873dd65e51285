#!/usr/bin/env bash
# A device by hand: the aws command line sets a fleet up, openssl makes the
# key, and mosquitto's clients carry the device from its claim to its own
# connection. Then its certificate is revoked.
. "$(dirname "$0")/lib.sh"

step "set-up by the aws command line alone"
fleet hand

claim=(-h "$host" -p "$SLIPWAY_MQTT_PORT" --cafile "$SLIPWAY_ROOT_CA" --cert claim.pem --key claim.key -q 1 -W 20)

step "a handshake with only what mbedTLS 3 has, and one with the JavaScript SDK's ALPN"
handshake() {
  openssl s_client -connect "$host:$SLIPWAY_MQTT_PORT" -servername "$host" -verify_hostname "$host" -verify_return_error \
    -CAfile "$SLIPWAY_ROOT_CA" -cert claim.pem -key claim.key "$@" </dev/null >handshake.txt 2>&1 ||
    fail "openssl s_client $*: $(cat handshake.txt)"
}
handshake -tls1_2 -groups P-256 -sigalgs ECDSA+SHA256:RSA+SHA256 -cipher ECDHE-ECDSA-AES128-GCM-SHA256
handshake -tls1_3 -alpn x-amzn-mqtt-ca

step "openssl makes a key and a signing request"
openssl ecparam -name prime256v1 -genkey -noout -out device.key
openssl req -new -key device.key -subj "/CN=hand-A1" -out device.csr

step "mosquitto_rr sends it with the claim, MQTT 5"
mosquitto_rr "${claim[@]}" -i boot-A1 \
  -t '$aws/certificates/create-from-csr/json' -e '$aws/certificates/create-from-csr/json/accepted' \
  -m "$(jq -n --rawfile csr device.csr '{certificateSigningRequest: $csr}')" >created.json
jq -r .certificatePem created.json >device.pem
id=$(jq -r .certificateId created.json)
same "the certificate's fingerprint" "$id" "$(openssl x509 -in device.pem -outform DER | openssl dgst -sha256 -r | cut -d' ' -f1)"
same "the certificate's key" "$(openssl pkey -in device.key -pubout)" "$(openssl x509 -in device.pem -noout -pubkey)"
same "the status before the registration" PENDING_ACTIVATION \
  "$(iot describe-certificate --certificate-id "$id" | jq -r .certificateDescription.status)"

step "mosquitto_rr registers the thing, MQTT 3.1.1"
register() { # parameters, answer's last word
  mosquitto_rr "${claim[@]}" -V mqttv311 -i boot-A1 \
    -t '$aws/provisioning-templates/hand/provision/json' -e "\$aws/provisioning-templates/hand/provision/json/$2" \
    -m "$(jq --argjson parameters "$1" '{certificateOwnershipToken, $parameters}' created.json)"
}
same "the refusal of a registration without a serial" "400 InvalidParameters" \
  "$(register '{}' rejected | jq -r '"\(.statusCode) \(.errorCode)"')"
register '{"SerialNumber": "A1", "Site": "plant"}' accepted >registered.json
thing=$(jq -r .thingName registered.json)
same "the thing's name" hand-A1 "$thing"
same "the device's configuration" b2.example.org "$(jq -r .deviceConfiguration.broker registered.json)"

step "a device that lost the answer gets it again"
same "the second answer" "$(jq -S . registered.json)" "$(register '{"SerialNumber": "A1", "Site": "plant"}' accepted | jq -S .)"
same "the same token with another request" "400 InvalidCertificateOwnershipToken" \
  "$(register '{"SerialNumber": "A2"}' rejected | jq -r '"\(.statusCode) \(.errorCode)"')"

step "the device connects with its own certificate"
own=(-h "$host" -p "$SLIPWAY_MQTT_PORT" --cafile "$SLIPWAY_ROOT_CA" --cert device.pem --key device.key -i "$thing" -q 1)
for version in mqttv5 mqttv311; do
  same "its own message, $version" hello \
    "$(mosquitto_rr "${own[@]}" -W 20 -V "$version" -t "hand/$thing/up" -e "hand/$thing/up" -m hello)"
done

cat device.pem claim.pem >chain.pem # mosquitto sends whatever stands in the file
same "its own message, sent below a stranger's certificate" hello \
  "$(mosquitto_rr "${own[@]}" --cert chain.pem -W 20 -t "hand/$thing/up" -e "hand/$thing/up" -m hello)"

step "the registry shows what came of it"
iot describe-thing --thing-name "$thing" >thing.json
same "type and attributes" '["hand",{"serial":"A1","site":"plant"}]' "$(jq -c '[.thingTypeName, .attributes]' thing.json)"
arn=$(iot list-thing-principals --thing-name "$thing" | jq -r '.principals[]')
iot describe-certificate --certificate-id "$id" >certificate.json
same "the thing's only principal" "$(jq -r .certificateDescription.certificateArn certificate.json)" "$arn"
same "the status" ACTIVE "$(jq -r .certificateDescription.status certificate.json)"
same "the certificate as stored" "$(cat device.pem)" "$(jq -r .certificateDescription.certificatePem certificate.json)"
same "the policies" hand-device "$(iot list-attached-policies --target "$arn" | jq -r '.policies[].policyName')"

step "revocation cuts the device off, and it cannot come back"
stdbuf -oL mosquitto_sub "${own[@]}" -V mqttv5 -d -t "hand/$thing/down" >listening.txt 2>&1 &
listener=$!
for _ in $(seq 100); do grep -q SUBACK listening.txt && break; sleep 0.1; done
grep -q SUBACK listening.txt || fail "the device did not listen: $(cat listening.txt)"
iot update-certificate --certificate-id "$id" --new-status REVOKED
for _ in $(seq 100); do kill -0 "$listener" 2>/dev/null || break; sleep 0.1; done
! kill -0 "$listener" 2>/dev/null || fail "the device is still connected 10 s after its revocation: $(cat listening.txt)"
if mosquitto_pub "${own[@]}" -V mqttv5 -t "hand/$thing/up" -m again 2>refusal.txt; then
  fail "the revoked device published"
fi
grep -qi 'not authorized' refusal.txt || fail "the refusal reads otherwise: $(cat refusal.txt)"
same "the status" REVOKED "$(iot describe-certificate --certificate-id "$id" | jq -r .certificateDescription.status)"
if iot update-certificate --certificate-id "$id" --new-status ACTIVE 2>refusal.txt; then
  fail "a revoked certificate became active again"
fi
grep -q CertificateStateException refusal.txt || fail "the refusal reads otherwise: $(cat refusal.txt)"

step "done: $thing"
