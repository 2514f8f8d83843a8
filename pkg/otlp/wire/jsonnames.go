package wire

import (
	"strings"
)

// jsonField is a field of a message as JSON has it.
type jsonField struct {
	num      int32
	kind     kind
	repeated bool
	name     string
}

// jsonField finds a field by its name, in either of the forms that JSON may
// have: traceId or trace_id.
func (m message) jsonField(name []byte) (jsonField, bool) {
	fields := m.fields()
	num := int32(0)
	for known := range strings.FieldsSeq(m.names()) {
		num++
		known, repeated := strings.CutSuffix(known, "[]")
		if isName(known, name) {
			return jsonField{num: num, kind: kind(fields[num-1]), repeated: repeated, name: known}, true
		}
	}
	if m.isResource() {
		if known := m.deprecatedName(); isName(known, name) {
			return jsonField{num: fieldDeprecatedScopes, kind: kind(m.scopes()), repeated: true, name: known}, true
		}
	}
	return jsonField{}, false
}

// isName reports whether name is known, or known with underscores in the place
// of capitals.
func isName(known string, name []byte) bool {
	if known == string(name) {
		return true
	}
	i := 0
	for k := range len(known) {
		c := known[k]
		if 'A' <= c && c <= 'Z' {
			if i == len(name) || name[i] != '_' {
				return false
			}
			i++
			c += 'a' - 'A'
		}
		if i == len(name) || name[i] != c {
			return false
		}
		i++
	}
	return i == len(name)
}

// deprecatedName is the name of field fieldDeprecatedScopes.
func (m message) deprecatedName() string {
	switch m {
	case msgResourceSpans:
		return "deprecatedScopeSpans"
	case msgResourceMetrics:
		return "deprecatedScopeMetrics"
	default:
		return "deprecatedScopeLogs"
	}
}

// names are the names of the fields of m, as fields has their kinds; "[]" marks
// those that are repeated, and "-" is none.
func (m message) names() string {
	switch m {
	case msgKeyValue:
		return "key value"
	case msgAnyValue:
		return "stringValue boolValue intValue doubleValue arrayValue kvlistValue bytesValue"
	case msgArray, msgKeyValueList:
		return "values[]"
	case msgResource:
		return "attributes[] droppedAttributesCount entityRefs[]"
	case msgEntityRef:
		return "schemaUrl type idKeys[] descriptionKeys[]"
	case msgScope:
		return "name version attributes[] droppedAttributesCount"
	case msgTraces:
		return "resourceSpans[]"
	case msgResourceSpans:
		return "resource scopeSpans[] schemaUrl"
	case msgScopeSpans:
		return "scope spans[] schemaUrl"
	case msgSpan:
		return "traceId spanId traceState parentSpanId name kind startTimeUnixNano endTimeUnixNano attributes[] droppedAttributesCount events[] droppedEventsCount links[] droppedLinksCount status flags"
	case msgSpanEvent:
		return "timeUnixNano name attributes[] droppedAttributesCount"
	case msgSpanLink:
		return "traceId spanId traceState attributes[] droppedAttributesCount flags"
	case msgSpanStatus:
		return "- message code"
	case msgLogs:
		return "resourceLogs[]"
	case msgResourceLogs:
		return "resource scopeLogs[] schemaUrl"
	case msgScopeLogs:
		return "scope logRecords[] schemaUrl"
	case msgLogRecord:
		return "timeUnixNano severityNumber severityText - body attributes[] droppedAttributesCount flags traceId spanId observedTimeUnixNano eventName"
	default:
		return m.metricNames()
	}
}

// metricNames is names for the messages of metrics alone.
func (m message) metricNames() string {
	switch m {
	case msgMetrics:
		return "resourceMetrics[]"
	case msgResourceMetrics:
		return "resource scopeMetrics[] schemaUrl"
	case msgScopeMetrics:
		return "scope metrics[] schemaUrl"
	case msgMetric:
		return "name description unit - gauge - sum - histogram exponentialHistogram summary metadata[]"
	case msgGauge, msgSummary:
		return "dataPoints[]"
	case msgSum:
		return "dataPoints[] aggregationTemporality isMonotonic"
	case msgHistogram, msgExponentialHistogram:
		return "dataPoints[] aggregationTemporality"
	case msgNumberPoint:
		return "- startTimeUnixNano timeUnixNano asDouble exemplars[] asInt attributes[] flags"
	case msgHistogramPoint:
		return "- startTimeUnixNano timeUnixNano count sum bucketCounts[] explicitBounds[] exemplars[] attributes[] flags min max"
	case msgExponentialPoint:
		return "attributes[] startTimeUnixNano timeUnixNano count sum scale zeroCount positive negative flags exemplars[] min max zeroThreshold"
	case msgBuckets:
		return "offset bucketCounts[]"
	case msgSummaryPoint:
		return "- startTimeUnixNano timeUnixNano count sum quantileValues[] attributes[] flags"
	case msgQuantile:
		return "quantile value"
	case msgExemplar:
		return "- timeUnixNano asDouble spanId traceId asInt filteredAttributes[]"
	}
	return ""
}

// names are the names of the values of an enumeration, from 0.
func (k kind) names() string {
	switch k {
	case kindSpanKind:
		return "SPAN_KIND_UNSPECIFIED SPAN_KIND_INTERNAL SPAN_KIND_SERVER SPAN_KIND_CLIENT SPAN_KIND_PRODUCER SPAN_KIND_CONSUMER"
	case kindStatusCode:
		return "STATUS_CODE_UNSET STATUS_CODE_OK STATUS_CODE_ERROR"
	case kindTemporality:
		return "AGGREGATION_TEMPORALITY_UNSPECIFIED AGGREGATION_TEMPORALITY_DELTA AGGREGATION_TEMPORALITY_CUMULATIVE"
	case kindSeverity:
		return "SEVERITY_NUMBER_UNSPECIFIED" +
			" SEVERITY_NUMBER_TRACE SEVERITY_NUMBER_TRACE2 SEVERITY_NUMBER_TRACE3 SEVERITY_NUMBER_TRACE4" +
			" SEVERITY_NUMBER_DEBUG SEVERITY_NUMBER_DEBUG2 SEVERITY_NUMBER_DEBUG3 SEVERITY_NUMBER_DEBUG4" +
			" SEVERITY_NUMBER_INFO SEVERITY_NUMBER_INFO2 SEVERITY_NUMBER_INFO3 SEVERITY_NUMBER_INFO4" +
			" SEVERITY_NUMBER_WARN SEVERITY_NUMBER_WARN2 SEVERITY_NUMBER_WARN3 SEVERITY_NUMBER_WARN4" +
			" SEVERITY_NUMBER_ERROR SEVERITY_NUMBER_ERROR2 SEVERITY_NUMBER_ERROR3 SEVERITY_NUMBER_ERROR4" +
			" SEVERITY_NUMBER_FATAL SEVERITY_NUMBER_FATAL2 SEVERITY_NUMBER_FATAL3 SEVERITY_NUMBER_FATAL4"
	}
	return ""
}
