package seal

import (
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/argon2"

	"github.com/slipway-iot/slipway/fault"
)

// The files of a data folder. There is one of the two, never both.
const (
	openFile   = "unlock.key"    // the master key in the open, 0600
	sealedFile = "unlock.sealed" // the master key, sealed with a passphrase
)

const (
	openBlock   = "SLIPWAY UNLOCK KEY"
	sealedBlock = "SLIPWAY SEALED UNLOCK KEY"

	// kdf names the way from passphrase to key: the second recommendation of
	// RFC 9106, section 4. Another choice would be another name in the file.
	kdf       = "argon2id t=3 m=65536 p=4"
	kdfHeader = "KDF"
	kdfSalt   = 16
)

// Open gives the key of the data folder, and says whether it was made now.
//
// Without a passphrase the key lies in DATA/unlock.key, readable by its owner
// only: key and data then share a disk, which the caller should say once. With
// a passphrase it lies in DATA/unlock.sealed, and a wrong passphrase is told
// as such. A folder keeps the way it was made with; Open refuses the other one
// rather than make a second key that opens nothing.
//
// The key is whole and on disk before Open returns. Of several processes that
// open a new folder at once, one makes the key and all get the same.
func Open(dataDir, passphrase string, random io.Reader) (key *Key, created bool, err error) {
	if random == nil {
		random = rand.Reader
	}
	if err := checkWay(dataDir, passphrase); err != nil {
		return nil, false, err
	}
	name, read, write := openFile, readOpen, writeOpen
	if passphrase != "" {
		name = sealedFile
		read = func(file []byte) (*Key, error) { return readSealed(file, passphrase) }
		write = func(k *Key) ([]byte, error) { return writeSealed(k, passphrase) }
	}
	path := filepath.Join(dataDir, name)
	file, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if created, err = makeKey(path, random, write); err != nil {
			return nil, false, fault.Wrap(fault.Internal, err, "The data folder's key cannot be made.")
		}
		file, err = os.ReadFile(path)
	}
	if err == nil {
		err = syncDir(dataDir) // whoever made the file may have been killed before this
	}
	if err != nil {
		return nil, false, fault.Wrap(fault.Internal, err, "The data folder's key cannot be read.")
	}
	if key, err = read(file); err != nil {
		return nil, false, err
	}
	key.rand = random
	return key, created, nil
}

// checkWay refuses to open a folder in another way than it was made.
func checkWay(dataDir, passphrase string) error {
	other, text := sealedFile, "The data folder is locked with a passphrase (it holds unlock.sealed); give it as SLIPWAY_PASSPHRASE."
	if passphrase != "" {
		other, text = openFile, "The data folder was made without a passphrase (it holds unlock.key); start without one."
	}
	_, err := os.Lstat(filepath.Join(dataDir, other))
	if err == nil {
		return fault.New(fault.InvalidRequest, "%s", text)
	}
	return nil
}

// makeKey draws a new key and puts it at path, unless another process was
// faster; it says which.
func makeKey(path string, random io.Reader, write func(*Key) ([]byte, error)) (bool, error) {
	k := &Key{rand: random}
	if _, err := io.ReadFull(random, k.master[:]); err != nil {
		return false, err
	}
	file, err := write(k)
	if err != nil {
		return false, err
	}
	err = createWhole(path, file)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

func writeOpen(k *Key) ([]byte, error) {
	return pem.EncodeToMemory(&pem.Block{Type: openBlock, Bytes: k.master[:]}), nil
}

func readOpen(file []byte) (*Key, error) {
	block, _ := pem.Decode(file)
	if block == nil || block.Type != openBlock || len(block.Bytes) != keySize {
		return nil, fault.New(fault.Internal, "unlock.key is damaged; restore it from a backup.")
	}
	return &Key{master: [keySize]byte(block.Bytes)}, nil
}

// writeSealed seals k under a key made from the passphrase. The block's bytes
// are the salt and the sealed master key, whose tag is also the check that
// tells a wrong passphrase.
func writeSealed(k *Key, passphrase string) ([]byte, error) {
	salt := make([]byte, kdfSalt)
	if _, err := io.ReadFull(k.rand, salt); err != nil {
		return nil, err
	}
	lock := stretch(passphrase, salt)
	lock.rand = k.rand
	return pem.EncodeToMemory(&pem.Block{
		Type:    sealedBlock,
		Headers: map[string]string{kdfHeader: kdf},
		Bytes:   append(salt, lock.Seal(sealedFile, k.master[:])...),
	}), nil
}

func readSealed(file []byte, passphrase string) (*Key, error) {
	block, _ := pem.Decode(file)
	if block == nil || block.Type != sealedBlock || len(block.Bytes) != kdfSalt+overhead+keySize {
		return nil, fault.New(fault.Internal, "unlock.sealed is damaged; restore it from a backup.")
	}
	if block.Headers[kdfHeader] != kdf {
		return nil, fault.New(fault.Internal, "unlock.sealed was made by another version of Slipway; start that version.")
	}
	lock := stretch(passphrase, block.Bytes[:kdfSalt])
	master, err := lock.Unseal(sealedFile, block.Bytes[kdfSalt:])
	if err != nil {
		return nil, fault.Wrap(fault.InvalidRequest, err, "The passphrase is wrong: it does not open this data folder.")
	}
	return &Key{master: [keySize]byte(master)}, nil
}

// stretch turns a passphrase into a key, slowly and with much memory.
func stretch(passphrase string, salt []byte) *Key {
	return &Key{master: [keySize]byte(argon2.IDKey([]byte(passphrase), salt, 3, 64*1024, 4, keySize))}
}
