package control

import (
	"net/http"

	"github.com/slipway-iot/slipway/fault"
)

// dataFace is how an error looks in the data plane, which knows fewer
// exceptions and gives throttling a status of its own (device-gateway.md,
// section 6).
func dataFace(face fault.Face) fault.Face {
	switch {
	case face.Exception == fault.NotImplemented.Face().Exception:
	case face.Exception == fault.Throttled.Face().Exception, face.Exception == fault.LimitExceeded.Face().Exception:
		face.REST, face.Exception = http.StatusTooManyRequests, "ThrottlingException"
	case face.REST == http.StatusBadRequest:
		face.Exception = "InvalidRequestException"
	case face.REST == http.StatusForbidden:
		face.Exception = "ForbiddenException"
	}
	return face
}
