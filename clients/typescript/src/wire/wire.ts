/** Calls to one server: those that wait for it to come back, lists in pages, streams. */
import { setMaxListeners } from "node:events";
import type {
  DescMessage,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { DescMethodBiDiStreaming } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { InvalidArgumentError, ResourceExhaustedError, UnavailableError } from "../errors.js";
import type { Endpoint } from "./endpoint.js";
import { backoffMs, errorFrom } from "./errors.js";

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
const PAGE_ROWS_MAX = 500;
const ATTEMPT_MS = 30_000; // one try of a short call
const PING = { pingIntervalMs: 30_000, pingTimeoutMs: 15_000 };
export const FIRST_CONTACT_MS = 3_000; // how long the very first call looks for the server

/** How a call is made. */
export interface CallOptions {
  /** Until when (performance.now()) an unreachable server is tried again; undefined: for ever. */
  giveUpAt?: number | undefined;
  /** Ends the call, which then rejects. */
  signal?: AbortSignal | undefined;
}

/** One client's connections: one for its calls, one for its host, which keeps no process alive. */
export class Wire {
  readonly endpoint: Endpoint;
  /** What goes along with every call. */
  readonly headers: readonly [string, string][];
  /** The server answered at least once. */
  hasContact = false;
  private readonly calls: Http2SessionManager;
  private readonly hosting: Http2SessionManager;
  private readonly transport: Transport;
  private readonly hostTransport: Transport;
  private readonly ending = new AbortController();

  constructor(endpoint: Endpoint, headers: readonly [string, string][]) {
    this.endpoint = endpoint;
    this.headers = headers;
    setMaxListeners(0, this.ending.signal); // each call listens
    this.calls = new Http2SessionManager(endpoint.base, PING);
    this.hosting = new Http2SessionManager(endpoint.base, PING, {
      createConnection: () => endpoint.connectQuietly(),
    });
    this.transport = this.transportOver(this.calls);
    this.hostTransport = this.transportOver(this.hosting);
  }

  /** Ends what is still called. */
  close(): void {
    this.ending.abort(new UnavailableError("the client was closed", { reason: "CLOSED" }));
    this.calls.abort();
    this.hosting.abort();
  }

  /**
   * A call that may be made again: a read, or one with an idempotency key. An unreachable server is
   * tried again until `giveUpAt`, but only FIRST_CONTACT_MS when it has never been reached.
   */
  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    let giveUpAt = options.giveUpAt ?? Infinity;
    if (!this.hasContact) giveUpAt = Math.min(giveUpAt, performance.now() + FIRST_CONTACT_MS);
    const signal = this.signalOf(options.signal);
    for (let failures = 1; ; failures++) {
      try {
        const leftMs = Math.max(50, Math.min(ATTEMPT_MS, giveUpAt - performance.now()));
        const told = await this.transport.unary(method, signal, leftMs, [...this.headers], request);
        this.hasContact = true;
        return told.message;
      } catch (error) {
        signal.throwIfAborted();
        await this.pauseOrThrow(error, failures, giveUpAt);
        signal.throwIfAborted();
      }
    }
  }

  /** The rows of a list that comes in pages, `limit` at most; undefined: all. */
  async rows<I extends DescMessage, O extends DescMessage, Row>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    rowsOf: (page: MessageShape<O>) => Row[],
    limit?: number,
  ): Promise<Row[]> {
    if (limit !== undefined && !(Number.isInteger(limit) && limit > 0)) {
      throw new InvalidArgumentError(`limit is ${limit}: it is 1 or more`, {
        field: "limit",
      });
    }
    const found: Row[] = [];
    let pageToken = "";
    do {
      const left = limit === undefined ? 0 : Math.min(PAGE_ROWS_MAX, limit - found.length);
      const paged = { ...request, pageToken, ...(left ? { pageSize: left } : {}) };
      const page = await this.call(method, paged as MessageInitShape<I>);
      found.push(...rowsOf(page));
      pageToken = (page as { nextPageToken?: string }).nextPageToken ?? "";
    } while (pageToken && (limit === undefined || found.length < limit));
    return found;
  }

  /** Opens a server stream; not tried again here. Rejects with what the transport throws. */
  async serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
  ): Promise<AsyncIterable<MessageShape<O>>> {
    async function* one() {
      yield request;
    }
    const ends = this.signalOf(signal);
    const headers = [...this.headers];
    return (await this.transport.stream(method, ends, undefined, headers, one())).message;
  }

  /** Opens a host's stream; not tried again here. */
  async hostStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    signal: AbortSignal,
  ): Promise<AsyncIterable<MessageShape<O>>> {
    const headers = [...this.headers];
    return (await this.hostTransport.stream(method, signal, undefined, headers, requests)).message;
  }

  private transportOver(sessionManager: Http2SessionManager): Transport {
    return createGrpcTransport({
      baseUrl: this.endpoint.base,
      sessionManager,
      readMaxBytes: MESSAGE_BYTES_MAX,
      writeMaxBytes: MESSAGE_BYTES_MAX,
    });
  }

  private signalOf(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([signal, this.ending.signal]) : this.ending.signal;
  }

  private async pauseOrThrow(error: unknown, failures: number, giveUpAt: number): Promise<void> {
    const told = errorFrom(error, this.endpoint.url);
    let waitMs = backoffMs(failures);
    if (told instanceof ResourceExhaustedError) {
      if (told.retryAfter === undefined || failures > 5) throw told;
      waitMs = Math.max(waitMs, told.retryAfter * 1000);
    } else if (!(told instanceof UnavailableError)) {
      this.hasContact = true;
      throw told;
    }
    if (performance.now() + waitMs > giveUpAt) throw told;
    await pause(waitMs, this.ending.signal);
  }
}

/** Waits so long, or until the signal aborts; `isQuiet`: it does not keep the process alive. */
export function pause(ms: number, signal?: AbortSignal, isQuiet = false): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    if (isQuiet) timer.unref();
    if (signal?.aborted) over();
    else signal?.addEventListener("abort", over, { once: true });
  });
}
