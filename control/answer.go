package control

import (
	"strconv"
	"time"
)

// seconds is a moment as AWS's JSON has it: seconds since 1970, with a
// fraction. The zero one is left out by omitzero.
type seconds struct{ time.Time }

func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(s.UnixMilli())/1000, 'f', -1, 64), nil
}

// filled gives attributes as an object even when there are none.
func filled(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
