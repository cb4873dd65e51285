package process

import (
	"maps"
	"path/filepath"
	"slices"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/functions"
)

// environment is the whole environment of a process whose Runtime API is at
// api: what Lambda sets, then what the spec says. Nothing comes from the
// server's own, which holds its secrets.
func environment(t arn.Tenant, s functions.Spec, api string, granted map[string]string) []string {
	env := map[string]string{
		"PATH":                            "/usr/local/bin:/usr/bin:/bin",
		"HOME":                            "/tmp",
		"TMPDIR":                          "/tmp",
		"LANG":                            "C.UTF-8",
		"TZ":                              ":UTC",
		"AWS_REGION":                      t.Region,
		"AWS_DEFAULT_REGION":              t.Region,
		"AWS_LAMBDA_FUNCTION_NAME":        s.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + s.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      "local",
		"LAMBDA_TASK_ROOT":                filepath.Dir(s.Command[0]),
		"_HANDLER":                        filepath.Base(s.Command[0]),
	}
	maps.Copy(env, granted)
	maps.Copy(env, s.Env)
	env["AWS_LAMBDA_RUNTIME_API"] = api
	list := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}
