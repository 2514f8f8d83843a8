package wire

import (
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/pipeline"
)

// library is what the pdata library makes of a request.
func library(s pipeline.Signal, data []byte) (items int, canonical []byte, err error) {
	switch s {
	case pipeline.SignalTraces:
		r := ptraceotlp.NewExportRequest()
		if err := r.UnmarshalProto(data); err != nil {
			return 0, nil, err
		}
		canonical, err = r.MarshalProto()
		return r.Traces().SpanCount(), canonical, err
	case pipeline.SignalMetrics:
		r := pmetricotlp.NewExportRequest()
		if err := r.UnmarshalProto(data); err != nil {
			return 0, nil, err
		}
		canonical, err = r.MarshalProto()
		return r.Metrics().DataPointCount(), canonical, err
	default:
		r := plogotlp.NewExportRequest()
		if err := r.UnmarshalProto(data); err != nil {
			return 0, nil, err
		}
		canonical, err = r.MarshalProto()
		return r.Logs().LogRecordCount(), canonical, err
	}
}
