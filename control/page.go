package control

import (
	"encoding/base64"
	"sort"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// defaultPage is how long a page is when nobody says (rest-api.md, section
// 1.1).
const defaultPage = 25

// Both styles of AWS's pagination, as members of requests.
type (
	byToken struct {
		NextToken  string `json:"nextToken"`
		MaxResults int    `json:"maxResults"`
	}
	byMarker struct {
		Marker         string `json:"marker"`
		PageSize       int    `json:"pageSize"`
		AscendingOrder *bool  `json:"ascendingOrder"`
	}
)

func (s *Server) tokenPage(c *Call, in byToken) (ref.Page, error) {
	return s.page(c, in.NextToken, in.MaxResults)
}

func (s *Server) markerPage(c *Call, in byMarker) (ref.Page, error) {
	return s.page(c, in.Marker, in.PageSize)
}

// page opens a token that seal gave for the same operation of the same tenant.
func (s *Server) page(c *Call, token string, limit int) (ref.Page, error) {
	p := ref.Page{Limit: limit}
	if limit == 0 {
		p.Limit = defaultPage
	}
	if token == "" {
		return p, nil
	}
	sealed, err := base64.StdEncoding.DecodeString(token)
	if err == nil {
		var after []byte
		after, err = s.cfg.Keys.Unseal(pageContext(c), sealed)
		p.After = string(after)
	}
	if err != nil {
		return p, fault.Wrap(fault.InvalidRequest, err, "The token of the next page is not one that this operation gave.")
	}
	return p, nil
}

// seal makes the token of the next page, empty after the last. A token tells
// its holder nothing and opens nothing elsewhere.
func (s *Server) seal(c *Call, after string) string {
	if after == "" {
		return ""
	}
	return base64.StdEncoding.EncodeToString(s.cfg.Keys.Seal(pageContext(c), []byte(after)))
}

func pageContext(c *Call) string { return "page/" + c.Tenant.String() + "/" + c.Action }

// pageOf cuts a page from a short list of distinct names and gives the cursor
// of the next.
func pageOf(names []string, p ref.Page) ([]string, string) {
	sort.Strings(names)
	from := sort.Search(len(names), func(i int) bool { return names[i] > p.After })
	rest := names[from:]
	if len(rest) <= p.Limit {
		return rest, ""
	}
	return rest[:p.Limit], rest[p.Limit-1]
}
