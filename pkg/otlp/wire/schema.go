package wire

import (
	"collector/pkg/pipeline"
)

// kind is what a field of a message holds: a scalar, or one of the messages.
type kind uint8

const (
	kindUnknown kind = iota // not in the schema: skipped, whatever it is
	kindBool
	kindInt64
	kindUint32
	kindSint32
	kindSpanKind
	kindStatusCode
	kindSeverity
	kindTemporality
	kindFixed64
	kindSfixed64
	kindDouble
	kindFixed32
	kindString
	kindBytes
	kindTraceID
	kindSpanID
	kindFixed64s // repeated, packed or not
	kindDoubles  // repeated, packed or not
	kindUint64s  // varints; repeated, packed or not
	firstMessage
)

func (k kind) wire() int {
	switch {
	case k <= kindTemporality:
		return wireVarint
	case k <= kindDouble:
		return wireI64
	case k == kindFixed32:
		return wireI32
	default:
		return wireLen
	}
}

func (k kind) idLength() int {
	if k == kindTraceID {
		return 16
	}
	return 8
}

// message is a message type of OTLP, version 1.
type message kind

const (
	msgTraces message = message(firstMessage) + iota
	msgMetrics
	msgLogs
	msgResourceSpans
	msgResourceMetrics
	msgResourceLogs
	msgScopeSpans
	msgScopeMetrics
	msgScopeLogs
	msgSpan
	msgSpanEvent
	msgSpanLink
	msgSpanStatus
	msgMetric
	msgGauge
	msgSum
	msgHistogram
	msgExponentialHistogram
	msgSummary
	msgNumberPoint
	msgHistogramPoint
	msgExponentialPoint
	msgBuckets
	msgSummaryPoint
	msgQuantile
	msgExemplar
	msgLogRecord
	msgResource
	msgEntityRef
	msgScope
	msgKeyValue
	msgAnyValue
	msgArray
	msgKeyValueList
)

// Field numbers that more than the schema has to know.
const (
	fieldResources        = 1 // of a request
	fieldScopes           = 2 // of ResourceSpans, ResourceMetrics and ResourceLogs
	fieldDeprecatedScopes = 1000
	fieldScopeItems       = 2 // of ScopeSpans, ScopeMetrics and ScopeLogs
	fieldDataPoints       = 1 // of Gauge, Sum and the others
	fieldDescribed        = 1 // of ResourceSpans, ScopeSpans and the others: what they are about
	fieldScopeName        = 1 // of InstrumentationScope
	fieldScopeVersion     = 2
	fieldMetricName       = 1 // of Metric
	fieldMetricUnit       = 3
	fieldKey              = 1 // of KeyValue
	fieldValue            = 2
	fieldStringValue      = 1 // of AnyValue

	metricLevel = 3 // below the request, a resource and a scope
)

func requestOf(s pipeline.Signal) message {
	switch s {
	case pipeline.SignalTraces:
		return msgTraces
	case pipeline.SignalMetrics:
		return msgMetrics
	default:
		return msgLogs
	}
}

func (m message) isResource() bool { return m >= msgResourceSpans && m <= msgResourceLogs }

// isItem reports whether m is what the signal's items are counted by.
func (m message) isItem() bool {
	switch m {
	case msgSpan, msgLogRecord, msgNumberPoint, msgHistogramPoint, msgExponentialPoint, msgSummaryPoint:
		return true
	}
	return false
}

// isMetricData reports whether field num of a Metric is its data, of which it has one kind.
func isMetricData(num int32) bool {
	switch num {
	case 5, 7, 9, 10, 11:
		return true
	}
	return false
}

// scopes is what a resource holds in field fieldScopes.
func (m message) scopes() message { return m - msgResourceSpans + msgScopeSpans }

// The kinds as strings of one byte, of which fields is written.
const (
	unknown     = string(rune(kindUnknown))
	boolean     = string(rune(kindBool))
	signed      = string(rune(kindInt64))
	number      = string(rune(kindUint32))
	sint32      = string(rune(kindSint32))
	spanKind    = string(rune(kindSpanKind))
	statusCode  = string(rune(kindStatusCode))
	severity    = string(rune(kindSeverity))
	temporality = string(rune(kindTemporality))
	fixed64     = string(rune(kindFixed64))
	sfixed64    = string(rune(kindSfixed64))
	double      = string(rune(kindDouble))
	fixed32     = string(rune(kindFixed32))
	text        = string(rune(kindString))
	blob        = string(rune(kindBytes))
	traceID     = string(rune(kindTraceID))
	spanID      = string(rune(kindSpanID))
	fixed64List = string(rune(kindFixed64s))
	doubleList  = string(rune(kindDoubles))
	uint64List  = string(rune(kindUint64s))

	resourceSpans    = string(rune(msgResourceSpans))
	resourceMetrics  = string(rune(msgResourceMetrics))
	resourceLogs     = string(rune(msgResourceLogs))
	scopeSpans       = string(rune(msgScopeSpans))
	scopeMetrics     = string(rune(msgScopeMetrics))
	scopeLogs        = string(rune(msgScopeLogs))
	span             = string(rune(msgSpan))
	spanEvent        = string(rune(msgSpanEvent))
	spanLink         = string(rune(msgSpanLink))
	spanStatus       = string(rune(msgSpanStatus))
	metric           = string(rune(msgMetric))
	gauge            = string(rune(msgGauge))
	sum              = string(rune(msgSum))
	histogram        = string(rune(msgHistogram))
	exponential      = string(rune(msgExponentialHistogram))
	summary          = string(rune(msgSummary))
	numberPoint      = string(rune(msgNumberPoint))
	histogramPoint   = string(rune(msgHistogramPoint))
	exponentialPoint = string(rune(msgExponentialPoint))
	buckets          = string(rune(msgBuckets))
	summaryPoint     = string(rune(msgSummaryPoint))
	quantile         = string(rune(msgQuantile))
	exemplar         = string(rune(msgExemplar))
	logRecord        = string(rune(msgLogRecord))
	resource         = string(rune(msgResource))
	entityRef        = string(rune(msgEntityRef))
	scope            = string(rune(msgScope))
	keyValue         = string(rune(msgKeyValue))
	anyValue         = string(rune(msgAnyValue))
	array            = string(rune(msgArray))
	keyValueList     = string(rune(msgKeyValueList))
)

// fields is the schema: the kinds of the fields of m, in the order of their
// numbers, from 1.
func (m message) fields() string {
	switch m {
	case msgKeyValue:
		return text + anyValue
	case msgAnyValue:
		return text + boolean + signed + double + array + keyValueList + blob
	case msgArray:
		return anyValue
	case msgKeyValueList:
		return keyValue
	case msgResource:
		return keyValue + number + entityRef
	case msgEntityRef:
		return text + text + text + text
	case msgScope:
		return text + text + keyValue + number
	case msgTraces:
		return resourceSpans
	case msgResourceSpans:
		return resource + scopeSpans + text
	case msgScopeSpans:
		return scope + span + text
	case msgSpan:
		return traceID + spanID + text + spanID + text + spanKind + fixed64 + fixed64 + keyValue + number + spanEvent + number + spanLink + number + spanStatus + fixed32
	case msgSpanEvent:
		return fixed64 + text + keyValue + number
	case msgSpanLink:
		return traceID + spanID + text + keyValue + number + fixed32
	case msgSpanStatus:
		return unknown + text + statusCode
	case msgLogs:
		return resourceLogs
	case msgResourceLogs:
		return resource + scopeLogs + text
	case msgScopeLogs:
		return scope + logRecord + text
	case msgLogRecord:
		return fixed64 + severity + text + unknown + anyValue + keyValue + number + fixed32 + traceID + spanID + fixed64 + text
	default:
		return m.metricFields()
	}
}

// metricFields is fields for the messages of metrics alone.
func (m message) metricFields() string {
	switch m {
	case msgMetrics:
		return resourceMetrics
	case msgResourceMetrics:
		return resource + scopeMetrics + text
	case msgScopeMetrics:
		return scope + metric + text
	case msgMetric:
		return text + text + text + unknown + gauge + unknown + sum + unknown + histogram + exponential + summary + keyValue
	case msgGauge:
		return numberPoint
	case msgSum:
		return numberPoint + temporality + boolean
	case msgHistogram:
		return histogramPoint + temporality
	case msgExponentialHistogram:
		return exponentialPoint + temporality
	case msgSummary:
		return summaryPoint
	case msgNumberPoint:
		return unknown + fixed64 + fixed64 + double + exemplar + sfixed64 + keyValue + number
	case msgHistogramPoint:
		return unknown + fixed64 + fixed64 + fixed64 + double + fixed64List + doubleList + exemplar + keyValue + number + double + double
	case msgExponentialPoint:
		return keyValue + fixed64 + fixed64 + fixed64 + double + sint32 + fixed64 + buckets + buckets + number + exemplar + double + double + double
	case msgBuckets:
		return sint32 + uint64List
	case msgSummaryPoint:
		return unknown + fixed64 + fixed64 + fixed64 + double + quantile + keyValue + number
	case msgQuantile:
		return double + double
	case msgExemplar:
		return unknown + fixed64 + double + spanID + traceID + sfixed64 + keyValue
	}
	return ""
}
