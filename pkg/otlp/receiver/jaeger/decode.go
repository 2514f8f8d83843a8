package jaeger

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/agent"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	translator "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/listen"
	"collector/pkg/otlp/server"
	"collector/pkg/otlp/translate"
	"collector/pkg/pipeline"
)

// methods lists the methods of Jaeger's collector.
func methods() []server.Method {
	layout := postSpans()
	return []server.Method{{
		Service: "jaeger.api_v2.CollectorService", Name: "PostSpans", Signal: pipeline.SignalTraces,
		Decode: func(claim *listen.Claim, message []byte) (server.Payload, error) {
			return decodeProtobuf(layout, claim, message)
		},
	}}
}

// postSpans describes a PostSpansRequest, with what a decoder and a translator make of
// its parts, in bytes.
func postSpans() *translate.Message {
	type fields = map[protowire.Number]*translate.Message
	tag := &translate.Message{Size: 384, Tag: true}
	process := &translate.Message{Size: 256, Fields: fields{2: tag}}
	span := &translate.Message{Size: 640, Fields: fields{
		4:  {Size: 320}, // references
		8:  tag,
		9:  {Size: 320, Fields: fields{2: tag}}, // logs
		10: process,
		12: {Size: 64}, // warnings
	}}
	return &translate.Message{Fields: fields{1: {Fields: fields{1: span, 2: process}}}}
}

func decodeProtobuf(layout *translate.Message, claim *listen.Claim, message []byte) (server.Payload, error) {
	w := translate.Weight{Memory: 2 * len(message)}
	if err := layout.Weigh(message, &w); err != nil {
		return server.Payload{}, err
	}
	return translate.Traces(claim, w, func() (ptrace.Traces, error) {
		var batch model.Batch
		for len(message) > 0 { // a batch that comes in parts is one
			number, kind, n := protowire.ConsumeTag(message)
			size := protowire.ConsumeFieldValue(number, kind, message[n:])
			if number == 1 && kind == protowire.BytesType {
				part, _ := protowire.ConsumeBytes(message[n:])
				if err := batch.Unmarshal(part); err != nil {
					return ptrace.Traces{}, fmt.Errorf("decode protobuf: %w", err)
				}
			}
			message = message[n+size:] // Weigh has walked it
		}
		return translator.ProtoToTraces([]*model.Batch{&batch})
	})
}

// newThrift begins to read data in one of thrift's protocols.
type newThrift func(data []byte, claim *listen.Claim) *translate.Thrift

// decodeBatch decodes what clients send by HTTP.
func decodeBatch(claim *listen.Claim, data []byte) (server.Payload, error) {
	in := translate.Binary(data, claim)
	var batch jaeger.Batch
	if err := batch.Read(context.Background(), in); err != nil {
		return server.Payload{}, fmt.Errorf("decode Thrift: %w", in.Explain(err))
	}
	return translateBatch(claim, &batch, len(data))
}

var errZipkin = errors.New("spans of Zipkin by UDP are not supported: send them to otelcol.receiver.zipkin by HTTP")

// decodeCall decodes what clients send by UDP: a call of the agent's method emitBatch.
func decodeCall(claim *listen.Claim, data []byte, protocol newThrift) (server.Payload, error) {
	in, ctx := protocol(data, claim), context.Background()
	name, kind, _, err := in.ReadMessageBegin(ctx)
	switch {
	case err != nil:
		return server.Payload{}, fmt.Errorf("decode Thrift: %w", in.Explain(err))
	case name == "emitZipkinBatch":
		return server.Payload{}, errZipkin
	case name != "emitBatch", kind != thrift.ONEWAY && kind != thrift.CALL:
		return server.Payload{}, fmt.Errorf("decode Thrift: it is no call of emitBatch, but of %.40q, type %d", name, kind)
	}
	var args agent.AgentEmitBatchArgs
	if err := args.Read(ctx, in); err != nil {
		return server.Payload{}, fmt.Errorf("decode Thrift: %w", in.Explain(err))
	}
	return translateBatch(claim, args.Batch, len(data))
}

// translateBatch translates a batch that took so many bytes; nil is an empty one.
func translateBatch(claim *listen.Claim, batch *jaeger.Batch, size int) (server.Payload, error) {
	w := translate.Weight{Memory: 4 * size}
	w.AddTags(len(batch.GetProcess().GetTags()))
	for _, span := range batch.GetSpans() {
		w.AddTags(len(span.Tags))
		for _, log := range span.Logs {
			w.AddTags(len(log.Fields))
		}
	}
	return translate.Traces(claim, w, func() (ptrace.Traces, error) { return translator.ThriftToTraces(batch) })
}
