package otlp

import "collector/pkg/pipeline"

// kind is what a field of a message holds: a scalar, or one of the messages.
type kind uint8

const (
	kindUnknown kind = iota // not in the schema: skipped, whatever it is
	kindVarint
	kindI64
	kindI32
	kindBytes
	kindTraceID
	kindSpanID
	kindI64s    // repeated, packed or not
	kindVarints // repeated, packed or not
	firstMessage
)

func (k kind) wire() int {
	switch k {
	case kindVarint:
		return wireVarint
	case kindI64:
		return wireI64
	case kindI32:
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

// isItem tells whether m is what the signal's items are counted by.
func (m message) isItem() bool {
	switch m {
	case msgSpan, msgLogRecord, msgNumberPoint, msgHistogramPoint, msgExponentialPoint, msgSummaryPoint:
		return true
	}
	return false
}

// isMetricData tells whether field num of a Metric is its data, of which it has one kind.
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
	unknown = string(rune(kindUnknown))
	varint  = string(rune(kindVarint))
	i64     = string(rune(kindI64))
	i32     = string(rune(kindI32))
	blob    = string(rune(kindBytes))
	traceID = string(rune(kindTraceID))
	spanID  = string(rune(kindSpanID))
	i64s    = string(rune(kindI64s))
	varints = string(rune(kindVarints))

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
		return blob + anyValue
	case msgAnyValue:
		return blob + varint + varint + i64 + array + keyValueList + blob
	case msgArray:
		return anyValue
	case msgKeyValueList:
		return keyValue
	case msgResource:
		return keyValue + varint + entityRef
	case msgEntityRef:
		return blob + blob + blob + blob
	case msgScope:
		return blob + blob + keyValue + varint
	case msgTraces:
		return resourceSpans
	case msgResourceSpans:
		return resource + scopeSpans + blob
	case msgScopeSpans:
		return scope + span + blob
	case msgSpan:
		return traceID + spanID + blob + spanID + blob + varint + i64 + i64 + keyValue + varint + spanEvent + varint + spanLink + varint + spanStatus + i32
	case msgSpanEvent:
		return i64 + blob + keyValue + varint
	case msgSpanLink:
		return traceID + spanID + blob + keyValue + varint + i32
	case msgSpanStatus:
		return unknown + blob + varint
	case msgLogs:
		return resourceLogs
	case msgResourceLogs:
		return resource + scopeLogs + blob
	case msgScopeLogs:
		return scope + logRecord + blob
	case msgLogRecord:
		return i64 + varint + blob + unknown + anyValue + keyValue + varint + i32 + traceID + spanID + i64 + blob
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
		return resource + scopeMetrics + blob
	case msgScopeMetrics:
		return scope + metric + blob
	case msgMetric:
		return blob + blob + blob + unknown + gauge + unknown + sum + unknown + histogram + exponential + summary + keyValue
	case msgGauge:
		return numberPoint
	case msgSum:
		return numberPoint + varint + varint
	case msgHistogram:
		return histogramPoint + varint
	case msgExponentialHistogram:
		return exponentialPoint + varint
	case msgSummary:
		return summaryPoint
	case msgNumberPoint:
		return unknown + i64 + i64 + i64 + exemplar + i64 + keyValue + varint
	case msgHistogramPoint:
		return unknown + i64 + i64 + i64 + i64 + i64s + i64s + exemplar + keyValue + varint + i64 + i64
	case msgExponentialPoint:
		return keyValue + i64 + i64 + i64 + i64 + varint + i64 + buckets + buckets + varint + exemplar + i64 + i64 + i64
	case msgBuckets:
		return varint + varints
	case msgSummaryPoint:
		return unknown + i64 + i64 + i64 + i64 + quantile + keyValue + varint
	case msgQuantile:
		return i64 + i64
	case msgExemplar:
		return unknown + i64 + i64 + spanID + traceID + i64 + keyValue
	}
	return ""
}
