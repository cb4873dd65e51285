# What the interop scripts share. A script is given the exports of `slipway
# env` and nothing else, and works in a folder that is thrown away.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

step() { printf '== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# same WHAT EXPECTED ACTUAL
same() { [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""; }

iot() { aws iot --output json "$@"; }

# fleet NAME makes what a fleet needs, with the aws command line alone: a
# thing type, the devices' policy, a template called NAME, and a claim in
# claim.pem and claim.key.
fleet() {
  local name=$1
  sed "s/@NAME@/$name/g" "$here/claim-policy.json" >claim-policy.json
  sed "s/@NAME@/$name/g" "$here/device-policy.json" >device-policy.json
  sed "s/@NAME@/$name/g" "$here/template.json" >template.json
  iot create-thing-type --thing-type-name "$name" >/dev/null
  iot create-policy --policy-name "$name-device" --policy-document file://device-policy.json >/dev/null
  iot create-provisioning-template --template-name "$name" --enabled --template-body file://template.json \
    --provisioning-role-arn arn:aws:iam::000000000000:role/provisioning >/dev/null
  iot create-policy --policy-name "$name-claim" --policy-document file://claim-policy.json >/dev/null
  iot create-keys-and-certificate --set-as-active >claim.json
  jq -r .certificatePem claim.json >claim.pem
  jq -r .keyPair.PrivateKey claim.json >claim.key
  iot attach-policy --policy-name "$name-claim" --target "$(jq -r .certificateArn claim.json)"
  host=$(iot describe-endpoint --endpoint-type iot:Data-ATS | jq -r .endpointAddress)
}
