// Package seal keeps secrets unreadable at rest.
//
// One Key belongs to a data folder. It seals the private keys of the
// certificate authority, the secrets of access keys and whatever else must be
// read back but never lie open on disk. Every sealed value is bound to a
// context, the name of the place it belongs to: a value copied to another
// place does not open there.
//
// Open finds the Key of a data folder or makes it on first use: in the open as
// unlock.key, or locked with a passphrase as unlock.sealed.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/slipway-iot/slipway/fault"
)

const (
	version  = 1 // first byte of every sealed value
	keySize  = 32
	saltSize = 32
	overhead = 1 + saltSize + 16 // version, salt, GCM tag
)

// A Key seals and unseals. It is safe for concurrent use if its source of
// randomness is, as crypto/rand.Reader is.
type Key struct {
	master [keySize]byte
	rand   io.Reader
}

// Format hides the key from every verb of fmt, so that no log shows it.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "seal.Key(hidden)") }

// Seal encrypts plain so that only Unseal with the same context gives it back.
//
// Each value has an AES-256-GCM key and nonce of its own, derived from the
// master key, a fresh 256-bit salt and the context, so the number of values
// sealed under one master key has no bound that matters.
func (k *Key) Seal(context string, plain []byte) []byte {
	salt := k.salt(context, plain)
	out := make([]byte, 0, overhead+len(plain))
	out = append(append(out, version), salt...)
	aead, nonce := k.cipher(context, salt)
	return aead.Seal(out, nonce, plain, []byte(context))
}

// Unseal gives back what Seal was given under the same key and context. What
// was changed, cut, sealed elsewhere or sealed under another key is refused,
// and which of these it was cannot be told.
func (k *Key) Unseal(context string, sealed []byte) ([]byte, error) {
	if len(sealed) < overhead || sealed[0] != version {
		return nil, fault.New(fault.Internal, "A sealed value is damaged or of a newer version.")
	}
	salt, box := sealed[1:1+saltSize], sealed[1+saltSize:]
	aead, nonce := k.cipher(context, salt)
	plain, err := aead.Open(nil, nonce, box, []byte(context))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "A sealed value does not open with this data folder's key.")
	}
	return plain, nil
}

// salt mixes randomness with the message under a key of its own. A source of
// randomness that fails or repeats therefore never makes two different
// messages share a key and nonce; it would only show that two equal messages
// are equal. That is why a failed read needs no error here.
func (k *Key) salt(context string, plain []byte) []byte {
	var random [saltSize]byte
	_, _ = io.ReadFull(k.rand, random[:])
	mac := hmac.New(sha256.New, k.derive(nil, "slipway seal 1 salt", keySize))
	mac.Write(random[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(context))))
	mac.Write([]byte(context))
	mac.Write(plain)
	return mac.Sum(nil)
}

// cipher derives the key and nonce of one value.
func (k *Key) cipher(context string, salt []byte) (cipher.AEAD, []byte) {
	okm := k.derive(salt, "slipway seal 1 value "+context, keySize+12)
	block, err := aes.NewCipher(okm[:keySize])
	if err != nil {
		panic("seal: an AES-256 key of 32 bytes was refused: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("seal: AES was refused as a block cipher for GCM: " + err.Error())
	}
	return aead, okm[keySize:]
}

// derive is HKDF (RFC 5869) of the master key.
func (k *Key) derive(salt []byte, info string, size int) []byte {
	okm, err := hkdf.Key(sha256.New, k.master[:], salt, info, size)
	if err != nil {
		panic("seal: HKDF refused a constant length: " + err.Error())
	}
	return okm
}
