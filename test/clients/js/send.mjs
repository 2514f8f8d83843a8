// Sends spans by the OpenTelemetry SDK for JavaScript: send.mjs grpc|http/json|http/protobuf URL
//
// Ten spans of the service "shop", named "op 0" to "op 9": each is the parent of the
// next, and has the attributes n (its number) and text.
import { context, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as overGRPC } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as asJSON } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as asProtobuf } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const [protocol, url] = process.argv.slice(2);
const Exporter = { grpc: overGRPC, "http/json": asJSON, "http/protobuf": asProtobuf }[protocol];
const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": "shop" }),
  spanProcessors: [new BatchSpanProcessor({ exporter: new Exporter({ url }) })],
});
const tracer = provider.getTracer("clients");
let parent = context.active();
const spans = [];
for (let n = 0; n < 10; n++) {
  const span = tracer.startSpan(`op ${n}`, { attributes: { n, text: 'ünïcode "quoted"' } }, parent);
  parent = trace.setSpan(parent, span);
  spans.push(span);
}
for (const span of spans) span.end();
await provider.forceFlush();
await provider.shutdown();
