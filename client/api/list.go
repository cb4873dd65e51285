package api

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
)

// List gives all items of a list operation, page after page; member is where
// its answer holds them. It follows both of AWS's styles, nextToken and
// marker. An error ends the list.
//
// The length of a page, maxResults or pageSize, is the caller's to put in the
// query.
func List[T any](ctx context.Context, c *Client, method, path string, query url.Values, header http.Header, member string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		query := maps.Clone(query)
		if query == nil {
			query = url.Values{}
		}
		for last := ""; ; {
			items, style, next, err := page[T](ctx, c, method, path, query, header, member)
			if err == nil && next != "" && next == last {
				err = fmt.Errorf("the server's list does not end: it gives the same %s again", style)
			}
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			query.Set(style, next)
			last = next
		}
	}
}

// page reads one page. style is the name of the parameter that asks for the
// next one.
func page[T any](ctx context.Context, c *Client, method, path string, query url.Values, header http.Header, member string) (items []T, style, next string, err error) {
	var answer map[string]json.RawMessage
	if err = c.Do(ctx, method, path, query, header, nil, &answer); err != nil {
		return nil, "", "", err
	}
	if err = decode(answer[member], &items); err != nil {
		return nil, "", "", err
	}
	for name, parameter := range map[string]string{"nextToken": "nextToken", "nextMarker": "marker"} {
		var token *string
		if err = decode(answer[name], &token); err != nil {
			return nil, "", "", err
		}
		if token != nil && *token != "" {
			style, next = parameter, *token
		}
	}
	return items, style, next, nil
}
