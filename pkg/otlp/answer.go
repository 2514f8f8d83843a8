package otlp

import (
	"encoding/json"
	"fmt"
	"strconv"

	"collector/pkg/deliver"
	"collector/pkg/pipeline"
)

// The fields of an Export…ServiceResponse and of its partial_success, which
// are the same for all signals.
const (
	fieldPartialSuccess = 1
	fieldRejected       = 1
	fieldErrorMessage   = 2
)

// partialSuccess reads an Export…ServiceResponse in protobuf. What cannot be
// read is taken for a full success: the status has said that it was one.
func partialSuccess(answer []byte) (res deliver.Result) {
	_ = eachField(answer, func(num int32, value, _ []byte) error {
		if num != fieldPartialSuccess {
			return nil
		}
		for pos := 0; pos < len(value); {
			n, wire, at, err := tagAt(value, pos)
			if err != nil {
				return err
			}
			if n == fieldRejected && wire == wireVarint {
				v, _, err := uvarint(value, at)
				if err != nil {
					return err
				}
				res.Dropped = int(int64(v))
			}
			_, text, next, err := fieldAt(value, pos)
			if err != nil {
				return err
			}
			if n == fieldErrorMessage {
				res.Message = string(text)
			}
			pos = next
		}
		return nil
	})
	return res
}

// partialSuccessJSON reads an Export…ServiceResponse in JSON.
func partialSuccessJSON(answer []byte) (res deliver.Result) {
	var r struct {
		PartialSuccess map[string]any `json:"partialSuccess"`
	}
	if json.Unmarshal(answer, &r) != nil {
		return res
	}
	res.Message, _ = r.PartialSuccess["errorMessage"].(string)
	for _, name := range []string{"rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"} {
		if v, ok := r.PartialSuccess[name]; ok { // a number, or one in a string
			n, _ := strconv.ParseFloat(fmt.Sprint(v), 64)
			res.Dropped = int(n)
		}
	}
	return res
}

// bounded makes sure that no more is dropped than was sent.
func bounded(res deliver.Result, items int) deliver.Result {
	res.Dropped = min(max(res.Dropped, 0), items)
	return res
}

// partial is what a receiver says of a request that it took in part.
type partial struct {
	items   int // that were not taken
	message string
}

// json encodes p as an Export…ServiceResponse.
func (p partial) json(s pipeline.Signal) []byte {
	if p == (partial{}) {
		return []byte(`{"partialSuccess":{}}`)
	}
	rejected := map[pipeline.Signal]string{
		pipeline.SignalTraces: "rejectedSpans", pipeline.SignalMetrics: "rejectedDataPoints", pipeline.SignalLogs: "rejectedLogRecords",
	}
	success := map[string]string{"errorMessage": p.message}
	if p.items > 0 {
		success[rejected[s]] = strconv.Itoa(p.items)
	}
	answer, err := json.Marshal(map[string]any{"partialSuccess": success})
	if err != nil {
		panic("BUG: " + err.Error()) // strings can be encoded
	}
	return answer
}
