#!/usr/bin/env bash
# Does what README.md tells a newcomer to do by hand: every block of it that is
# marked bash, in order, in a folder with the files it names.
. "$(dirname "$0")/lib.sh"

mkdir docs
cp -r "$here/../../docs/example" docs/
awk '/^```bash$/ { on = 1; next } /^```$/ { on = 0 } on' "$here/../../README.md" >commands.sh
[ "$(wc -l <commands.sh)" -gt 20 ] || fail "README.md has no commands"
bash -eu commands.sh >said.txt 2>&1 || fail "$(cat said.txt)"

same "the first device" A1 "$(iot describe-thing --thing-name Sensor-A1 | jq -r .attributes.serial)"
same "the second device's certificate" REVOKED \
  "$(iot describe-certificate --certificate-id "$(jq -r .certificateId A2.json)" | jq -r .certificateDescription.status)"
grep -q 'provisioned at the claim door' said.txt || fail "slipway trace told nothing: $(cat said.txt)"
step "done"
