package access

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/internal/documents"
	"github.com/slipway-iot/slipway/ref"
)

// defaultSeconds is how long the credentials of a role alias last when nobody
// says (rest-api.md, section 7.9).
const defaultSeconds = 3600

// A RoleAlias lets devices ask for the credentials of a role without knowing
// its name.
type RoleAlias struct {
	Name     string            `json:"name"`
	RoleARN  string            `json:"role"`
	Seconds  int               `json:"seconds"`
	Created  time.Time         `json:"created"`
	Modified time.Time         `json:"modified"`
	Tags     map[string]string `json:"tags,omitempty"`
}

// RoleAliasARN gives the ARN of a role alias.
func RoleAliasARN(t arn.Tenant, name string) string { return t.Resource("rolealias", name) }

// CreateRoleAlias stores a role alias. a gives name, role, tags, the moment,
// and the duration or zero for the default. A name serves once, even with the
// same content.
func CreateRoleAlias(ctx context.Context, s Store, t arn.Tenant, a *RoleAlias) error {
	if _, err := ref.Retag(ctx, s, t, nil, a.Tags, nil); err != nil {
		return err
	}
	err := vacant(ctx, s, t, roleAliases, a.Name, ref.RoleAliases,
		taken(a.Name, RoleAliasARN(t, a.Name), "RoleAlias cannot be created - already exists (name=%s)", a.Name))
	if err != nil {
		return err
	}
	if a.Seconds == 0 {
		a.Seconds = defaultSeconds
	}
	a.Modified = a.Created
	return documents.Put(ctx, s, t, roleAliases, a.Name, a)
}

// GetRoleAlias reads a role alias.
func GetRoleAlias(ctx context.Context, s Store, t arn.Tenant, name string) (*RoleAlias, error) {
	return documents.Find[RoleAlias](ctx, s, t, roleAliases, name)
}

// UpdateRoleAlias changes role and duration; zero values leave them.
func UpdateRoleAlias(ctx context.Context, s Store, t arn.Tenant, name, roleARN string, seconds int, now time.Time) error {
	a, err := GetRoleAlias(ctx, s, t, name)
	if err != nil {
		return err
	}
	if roleARN != "" {
		a.RoleARN = roleARN
	}
	if seconds != 0 {
		a.Seconds = seconds
	}
	a.Modified = now
	return documents.Put(ctx, s, t, roleAliases, name, a)
}

// TagRoleAlias writes the tags of set and removes the keys of remove.
func TagRoleAlias(ctx context.Context, s Store, t arn.Tenant, name string, set map[string]string, remove []string) error {
	a, err := GetRoleAlias(ctx, s, t, name)
	if err != nil {
		return err
	}
	if a.Tags, err = ref.Retag(ctx, s, t, a.Tags, set, remove); err != nil {
		return err
	}
	return documents.Put(ctx, s, t, roleAliases, name, a)
}

// DeleteRoleAlias removes a role alias. Nothing refers to one but the policies
// that allow its use, by ARN, and those do not hold it.
func DeleteRoleAlias(ctx context.Context, s Store, t arn.Tenant, name string) error {
	return s.DeleteDocument(ctx, t, roleAliases, name)
}

// ListRoleAliases orders by name.
func ListRoleAliases(ctx context.Context, s Store, t arn.Tenant, p ref.Page) ([]*RoleAlias, string, error) {
	return documents.List[RoleAlias](ctx, s, t, roleAliases, p)
}
