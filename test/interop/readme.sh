#!/usr/bin/env bash
# Does what README.md tells a newcomer to do by hand, and then docs/flows/by-hand.md:
# every block that is marked bash, in order, in a folder with the files they name.
. "$(dirname "$0")/lib.sh"

mkdir docs
cp -r "$here/../../docs/example" docs/
awk '/^```bash$/ { on = 1; next } /^```$/ { on = 0 } on' "$here/../../README.md" "$here/../../docs/flows/by-hand.md" >commands.sh
[ "$(wc -l <commands.sh)" -gt 40 ] || fail "README.md and by-hand.md have no commands"
bash -eu commands.sh >said.txt 2>&1 || fail "$(cat said.txt)"

same "the first device" A1 "$(iot describe-thing --thing-name Sensor-A1 | jq -r .attributes.serial)"
same "the second device's certificate" REVOKED \
  "$(iot describe-certificate --certificate-id "$(jq -r .certificateId A2.json)" | jq -r .certificateDescription.status)"
same "the third device's certificate" REVOKED \
  "$(iot describe-certificate --certificate-id "$(jq -r .certificateId play/B1.json)" | jq -r .certificateDescription.status)"
for told in 'provisioned at the claim door' 'is REVOKED; the device needs a new certificate'; do
  [ "$(grep -c "$told" said.txt)" -ge 2 ] || fail "slipway trace did not tell twice: $told: $(cat said.txt)"
done
step "done"
