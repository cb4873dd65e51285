#!/bin/sh
# Makes the signing requests in csr/ with openssl 3. They are committed, because
# keys are random; run this only to add one. Private keys are thrown away.
set -eu
cd "$(dirname "$0")/csr"
key=$(mktemp)
trap 'rm -f "$key"' EXIT

# csr NAME GENPKEY-ARGUMENTS -- REQ-ARGUMENTS: one file, unless it is there.
csr() {
	name=$1
	shift
	[ -e "$name" ] && return
	gen=
	while [ "$1" != -- ]; do
		gen="$gen $1"
		shift
	done
	shift
	openssl genpkey $gen -out "$key" 2>/dev/null
	openssl req -new -key "$key" -out "$name" "$@"
}
ec() { echo "-algorithm EC -pkeyopt ec_param_enc:named_curve -pkeyopt ec_paramgen_curve:$1"; }
rsa() { echo "-algorithm RSA -pkeyopt rsa_keygen_bits:$1"; }
many() { seq -f 'DNS:d%g.example' -s, "$1"; }

csr p256.pem $(ec P-256) -- -subj /CN=sensor-1
csr p384.pem $(ec P-384) -- -subj /CN=sensor-1 -sha384
csr p521.pem $(ec P-521) -- -subj /CN=sensor-1 -sha512
csr p256.der $(ec P-256) -- -subj /CN=sensor-1 -outform DER
csr rsa-2048.pem $(rsa 2048) -- -subj /CN=sensor-1
csr rsa-4096.pem $(rsa 4096) -- -subj /CN=sensor-1
csr rsa-pss-signature.pem $(rsa 2048) -- -subj /CN=sensor-1 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
csr new-type.pem $(ec P-256) -- -subj /CN=sensor-1 -newhdr
csr with-text.pem $(ec P-256) -- -subj /CN=sensor-1 -text
csr empty-subject.pem $(ec P-256) -- -subj /
csr full-subject.pem $(ec P-256) -- -utf8 -subj '/C=DE/ST=Hamburg/L=Hamburg/O=Reederei Müller & Söhne/OU=Brücke/CN=sensor-1/emailAddress=ops@example.com/serialNumber=A1'
csr everything.pem $(ec P-256) -- -subj /CN=sensor-1 \
	-addext subjectAltName=DNS:sensor-1.example,IP:192.0.2.7,URI:urn:dev:1,email:a@example.com \
	-addext extendedKeyUsage=serverAuth,clientAuth -addext keyUsage=keyCertSign,digitalSignature \
	-addext basicConstraints=critical,CA:FALSE -addext nsComment=hello -addext certificatePolicies=1.2.3.4

csr rsa-1024.pem $(rsa 1024) -- -subj /CN=sensor-1
csr rsa-exponent-3.pem $(rsa 2048) -pkeyopt rsa_keygen_pubexp:3 -- -subj /CN=sensor-1
csr rsa-pss-key.pem -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -- -subj /CN=sensor-1
csr p224.pem $(ec P-224) -- -subj /CN=sensor-1
csr secp256k1.pem $(ec secp256k1) -- -subj /CN=sensor-1
csr explicit-curve.pem -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -- -subj /CN=sensor-1
csr ed25519.pem -algorithm ED25519 -- -subj /CN=sensor-1
csr ed448.pem -algorithm ED448 -- -subj /CN=sensor-1
csr sha1-rsa.pem $(rsa 2048) -- -subj /CN=sensor-1 -sha1
csr sha1-ecdsa.pem $(ec P-256) -- -subj /CN=sensor-1 -sha1
csr md5-rsa.pem $(rsa 2048) -- -subj /CN=sensor-1 -md5
csr sha224.pem $(ec P-256) -- -subj /CN=sensor-1 -sha224
csr ca-true.pem $(ec P-256) -- -subj /CN=sensor-1 -addext basicConstraints=CA:TRUE
csr ca-true-pathlen.pem $(ec P-256) -- -subj /CN=sensor-1 -addext basicConstraints=critical,CA:TRUE,pathlen:3
csr sans-16.pem $(ec P-256) -- -subj /CN=sensor-1 -addext "subjectAltName=$(many 16)"
csr sans-17.pem $(ec P-256) -- -subj /CN=sensor-1 -addext "subjectAltName=$(many 17)"
csr sans-100.pem $(ec P-256) -- -subj /CN=sensor-1 -addext "subjectAltName=$(many 100)"
csr cn-localhost.pem $(ec P-256) -- -subj /CN=LocalHost
csr cn-localhost-second.pem $(ec P-256) -- -subj /CN=sensor-1/O=x/CN=localhost.
csr cn-ip.pem $(ec P-256) -- -subj /CN=127.0.0.1
csr cn-wildcard.pem $(ec P-256) -- -subj '/CN=*.example.com'
csr san-host.pem $(ec P-256) -- -subj /CN=sensor-1 -addext subjectAltName=DNS:sensor-1,DNS:IoT.Example.com
csr san-wildcard.pem $(ec P-256) -- -subj /CN=sensor-1 -addext 'subjectAltName=DNS:*.example.com'
csr san-ip.pem $(ec P-256) -- -subj /CN=sensor-1 -addext subjectAltName=IP:127.0.0.1
csr san-ip6.pem $(ec P-256) -- -subj /CN=sensor-1 -addext subjectAltName=IP:::ffff:127.0.0.1
csr san-uri.pem $(ec P-256) -- -subj /CN=sensor-1 -addext subjectAltName=URI:mqtts://iot.example.com:8883/x
csr control-character.pem $(ec P-256) -- -subj "/CN=sensor$(printf '\033')[31m"
csr bidi.pem $(ec P-256) -- -utf8 -subj "/CN=sensor$(printf '\342\200\256')gnp"
if [ ! -e dsa.pem ]; then
	openssl genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_bits:1024 -out "$key.par" 2>/dev/null
	csr dsa.pem -paramfile "$key.par" -- -subj /CN=sensor-1
	rm -f "$key.par"
fi
