/**
 * Heartbeats from a worker thread: a host keeps its leases while its code holds up the event loop.
 *
 * The worker is made of the text below, so that no bundler has to find a file of it.
 */
import { Worker } from "node:worker_threads";
import { log } from "../log.js";
import type { Endpoint } from "../wire/endpoint.js";

const SOURCE = `
const http2 = require("node:http2");
const { parentPort, workerData } = require("node:worker_threads");
const { url, headers, lived } = workerData;
let token = "", timer, session;

// A gRPC message with one field, a text: ToolServiceHeartbeatRequest.
function request(text) {
  const bytes = Buffer.from(text);
  const body = Buffer.concat([Buffer.from([0x0a, ...varint(bytes.length)]), bytes]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

function varint(number) {
  return number < 128 ? [number] : [(number & 127) | 128, ...varint(number >> 7)];
}

function beat() {
  const said = token, now = Date.now();
  if (!session || session.closed || session.destroyed) {
    session = http2.connect(url);
    session.on("error", () => {});
  }
  const call = session.request({
    ":method": "POST",
    ":path": "/polos.v1.ToolService/Heartbeat",
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  const told = (fields) => {
    if (said !== token) return;
    if (fields["grpc-status"] === "5") parentPort.postMessage("lost");
    if (fields["grpc-status"] === "0") lived[0] = Math.max(lived[0], now);
  };
  call.on("response", told).on("trailers", told).on("error", () => {});
  call.setTimeout(5000, () => call.close());
  call.resume();
  call.end(request(said));
}

parentPort.on("message", (told) => {
  token = told.token;
  clearInterval(timer);
  timer = setInterval(beat, told.everyMs);
  beat(); // the thread may have taken its time to start
});
`;

/** One host's heartbeats. */
export class Beat {
  private worker: Worker | undefined;
  private isStopped = false;
  /** When the server was last told, and knew, that the session lives; in Unix milliseconds. */
  private readonly lived = new Float64Array(new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT));

  /** @param lost called when the server does not know the session any more. */
  constructor(
    private readonly endpoint: Endpoint,
    private readonly headers: readonly (readonly [string, string])[],
    private readonly lost: () => void,
  ) {}

  /** Says every so often that the session of this token lives, from now on. */
  begin(token: string, everyMs: number): void {
    if (this.isStopped) return;
    this.lived[0] = Date.now();
    this.worker ??= this.start();
    this.worker.postMessage({ token, everyMs });
  }

  /** For how long the server may have heard nothing of the session. */
  get silenceMs(): number {
    return Date.now() - this.lived[0]!;
  }

  /** No more of them; a host beats again with another Beat. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.worker?.terminate();
  }

  private start(): Worker {
    const headers = Object.fromEntries(this.headers);
    const workerData = { url: this.endpoint.base, headers, lived: this.lived };
    const worker = new Worker(SOURCE, { eval: true, workerData, stdout: false });
    worker.on("message", () => this.lost());
    worker.on("error", (error) => log.warn(`heartbeats ended: ${String(error)}`));
    worker.unref(); // after whoever listens, which would keep the process
    return worker;
  }
}
