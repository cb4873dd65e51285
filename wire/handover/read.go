package handover

import (
	"bufio"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxRead is how much noise and claim are read together.
const maxRead = 64 << 10

// ErrNone says that the source ended, or went on for too long, without a claim.
var ErrNone = errors.New("no claim was found in it: expected a JSON object, a block BEGIN SLIPWAY CLAIM, or a line with " + CompactPrefix + "…")

// Read reads until a claim is complete, and no further than its line: a serial
// line has no end. Lines before the claim are passed over.
func Read(r io.Reader) (*Claim, error) {
	lines := bufio.NewReader(io.LimitReader(r, maxRead))
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimSpace(line)
		switch {
		case strings.Contains(line, CompactPrefix):
			return named(parseCompact(line[strings.Index(line, CompactPrefix):]))
		case strings.Contains(line, "-----BEGIN "+blockType):
			return named(readBlock(lines))
		case strings.HasPrefix(line, "{"):
			if c, whole, err := readObject(lines, line); whole || err != nil {
				return named(c, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil, ErrNone
		}
		if err != nil {
			return nil, err
		}
	}
}

func named(c *Claim, err error) (*Claim, error) {
	if err != nil {
		return nil, fmt.Errorf("the claim cannot be read: %w", err)
	}
	return c, nil
}

// readBlock reads what follows the BEGIN line.
func readBlock(lines *bufio.Reader) (*Claim, error) {
	var b strings.Builder
	b.WriteString("-----BEGIN " + blockType + "-----\n")
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimSpace(line)
		b.WriteString(line + "\n")
		if strings.HasPrefix(line, "-----END") {
			break
		}
		if err != nil {
			return nil, errors.New("it ends before its END line")
		}
	}
	block, _ := pem.Decode([]byte(b.String()))
	if block == nil {
		return nil, errors.New("its block is damaged")
	}
	return parseObject(block.Bytes)
}

// readObject reads an object that begins with the line, and may go on. An
// object that is no claim, as boot messages may be, is passed over.
func readObject(lines *bufio.Reader, text string) (c *Claim, whole bool, err error) {
	for !json.Valid([]byte(text)) {
		line, err := lines.ReadString('\n')
		if line == "" && err != nil {
			return nil, false, nil
		}
		text += "\n" + line
	}
	var mark struct {
		Version *int `json:"slipwayClaim"`
	}
	if json.Unmarshal([]byte(text), &mark) != nil || mark.Version == nil {
		return nil, false, nil
	}
	c, err = parseObject([]byte(text))
	return c, err == nil, err
}

func parseObject(text []byte) (*Claim, error) {
	var c Claim
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, errors.New("its JSON is damaged")
	}
	return &c, c.check()
}
