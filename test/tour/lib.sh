# What the areas of the tour share. A script has the exports of `slipway env`,
# a folder that is thrown away, and aws.py on descriptors 3 and 4.
#
# The aws command line 1 ends with 255 when the service refuses; version 2
# ends with 254.
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'printf "FAILED at %s:%s\n" "${BASH_SOURCE[0]##*/}" "$LINENO" >&2' ERR
cd "$work"

fail() {
  printf 'FAILED at %s:%s: %s\n' "${BASH_SOURCE[-1]##*/}" "${BASH_LINENO[-2]}" "$*" >&2
  exit 1
}

# ask VERB ARGUMENT... puts what aws.py answers into $answer.
ask() {
  printf '%s\0' "$(($# + 1))" "$PWD" "$@" >&3
  IFS= read -r answer <&4
}

# ok ARGUMENT... runs `aws iot ARGUMENT...`, which must succeed.
ok() {
  ask aws iot --output json "$@"
  [ "$answer" = 0 ] || fail "aws iot $* ended with $answer: $(cat err)"
}

# refuse EXCEPTION TEXT ARGUMENT... runs `aws iot ARGUMENT...`, which the
# server must refuse with the exception, in a message that holds the text.
refuse() {
  local exception=$1 text=$2
  shift 2
  ask aws iot --output json "$@"
  [ "$answer" = 255 ] || fail "aws iot $* ended with $answer, not refused: $(cat out err)"
  case $(<err) in
    *"An error occurred ($exception) when calling the "*" operation: "*"$text"*) ;;
    *) fail "aws iot $*: expected $exception, ...$text..., got: $(<err)" ;;
  esac
}

# is QUERY EXPECTED looks into the last answer.
is() {
  ask query "$1"
  [ "$answer" = "$2" ] || fail "$1 is \"$answer\", not \"$2\", in $(<out)"
}

# take NAME QUERY keeps a part of the last answer in a variable.
take() {
  ask query "$2"
  [ "$answer" != null ] || fail "there is no $2 in $(<out)"
  printf -v "$1" %s "${answer//\\n/$'\n'}"
}

# silent: the last answer was empty, which the command line prints as nothing.
silent() { [ ! -s out ] || fail "the answer is not empty: $(<out)"; }

# stranger OPERATION... are refused to a caller who does not sign: the way of
# failing that is left for operations which have no members.
stranger() {
  local operation
  for operation; do
    refuse MissingAuthenticationTokenException "no Authorization header" "$operation" --no-sign-request
  done
}
