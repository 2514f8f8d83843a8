package wire

import (
	"encoding/json"
	"fmt"
	"strconv"

	"collector/pkg/pipeline"
)

// The fields of an Export…ServiceResponse and of its partial_success, which
// are the same for all signals.
const (
	fieldPartialSuccess = 1
	fieldRejected       = 1
	fieldErrorMessage   = 2
)

// Partial is what a receiver says of a request that it accepted in part.
type Partial struct {
	Items   int // that were not accepted
	Message string
}

// PartialOf reads an Export…ServiceResponse in protobuf. What cannot be read counts as a
// full success: that is what the status said.
func PartialOf(answer []byte) (p Partial) {
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
				p.Items = int(int64(v))
			}
			_, text, next, err := fieldAt(value, pos)
			if err != nil {
				return err
			}
			if n == fieldErrorMessage {
				p.Message = string(text)
			}
			pos = next
		}
		return nil
	})
	return p
}

// PartialOfJSON reads an Export…ServiceResponse in JSON.
func PartialOfJSON(answer []byte) (p Partial) {
	var r struct {
		PartialSuccess map[string]any `json:"partialSuccess"`
	}
	if json.Unmarshal(answer, &r) != nil {
		return p
	}
	p.Message, _ = r.PartialSuccess["errorMessage"].(string)
	for _, name := range []string{"rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"} {
		if v, ok := r.PartialSuccess[name]; ok { // a number, or one in a string
			n, _ := strconv.ParseFloat(fmt.Sprint(v), 64)
			p.Items = int(n)
		}
	}
	return p
}

// EmptyAnswer is an Export…ServiceResponse in protobuf whose partial_success is
// empty.
func EmptyAnswer() []byte { return []byte{fieldPartialSuccess<<3 | wireLen, 0} }

// JSON encodes p as an Export…ServiceResponse.
func (p Partial) JSON(s pipeline.Signal) []byte {
	if p == (Partial{}) {
		return []byte(`{"partialSuccess":{}}`)
	}
	rejected := map[pipeline.Signal]string{
		pipeline.SignalTraces: "rejectedSpans", pipeline.SignalMetrics: "rejectedDataPoints", pipeline.SignalLogs: "rejectedLogRecords",
	}
	success := map[string]string{"errorMessage": p.Message}
	if p.Items > 0 {
		success[rejected[s]] = strconv.Itoa(p.Items)
	}
	answer, err := json.Marshal(map[string]any{"partialSuccess": success})
	if err != nil {
		panic("BUG: " + err.Error()) // strings can be encoded
	}
	return answer
}
