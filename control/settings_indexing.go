package control

import (
	"context"

	"github.com/slipway-iot/slipway/settings"
	"github.com/slipway-iot/slipway/store"
)

func (s *Server) getIndexing(ctx context.Context, c *Call, _ *struct{}) (any, error) {
	var in *settings.Indexing
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		in, err = settings.GetIndexing(ctx, tx, c.Tenant)
		return err
	})
	return in, err
}

func (s *Server) updateIndexing(ctx context.Context, c *Call, in *struct {
	Things *settings.ThingIndexing `json:"thingIndexingConfiguration"`
	Groups *settings.GroupIndexing `json:"thingGroupIndexingConfiguration"`
}) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return settings.UpdateIndexing(ctx, tx, c.Tenant, in.Things, in.Groups)
	})
}
