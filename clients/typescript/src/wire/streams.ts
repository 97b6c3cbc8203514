/** Server streams that go on where they were, whenever they are cut. */
import type {
  DescMessage,
  DescMethodServerStreaming,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { durationOf, timestampOf } from "../codec/times.js";
import { ResourceExhaustedError, ServerError, UnavailableError } from "../errors.js";
import type { Run } from "../gen/polos/v1/common_pb.js";
import { RunService, type RunServiceWatchResponse } from "../gen/polos/v1/runs_pb.js";
import { TopicService, type TopicEvent } from "../gen/polos/v1/topics_pb.js";
import { backoffMs, errorFrom } from "./errors.js";
import { pause, type Wire } from "./wire.js";

const WAIT_SECONDS = 20; // of one call for a run's end; less than a call may take
const CUTS_IN_A_ROW_MAX = 20; // of a server that is there and ends the stream

/**
 * Every fact and delta of a run, or of a root and all below it, from its start, then its end; no gap, no repetition. Waits for a
 * server that is away for as long as the caller does. Throws NotFoundError and the like.
 */
export async function* follow(
  wire: Wire,
  runId: string,
  options: { deltas: boolean; isTree?: boolean; signal?: AbortSignal },
): AsyncGenerator<RunServiceWatchResponse, void> {
  let position = "";
  const { deltas, isTree: tree = false } = options;
  const request = () => ({ runId, position, deltas, tree });
  const all = dialling(wire, RunService.method.watch, request, true, options.signal);
  for await (const told of all) {
    position = told.position || position;
    yield told;
    if (told.event.case === "ended") return;
  }
}

/** Where a subscription begins: after a number, after a time; with neither: with what is new. */
export interface TopicStart {
  afterSequence?: number | undefined;
  afterTime?: Date | undefined;
}

/** The events of a topic, for ever; or those that are there, when it is not to be followed. */
export async function* subscribe(
  wire: Wire,
  topic: string,
  begin: TopicStart,
  options: { goesOn: boolean; signal?: AbortSignal },
): AsyncGenerator<TopicEvent, void> {
  type Start = MessageInitShape<typeof TopicService.method.subscribe.input>["start"];
  let start: Start = { case: "onlyNew", value: true };
  if (begin.afterSequence !== undefined) {
    start = { case: "afterSequence", value: BigInt(begin.afterSequence) };
  } else if (begin.afterTime !== undefined) {
    start = { case: "afterTime", value: timestampOf(begin.afterTime)! };
  }
  const { goesOn, signal } = options;
  const request = () => ({ topic, start, follow: goesOn });
  for await (const told of dialling(wire, TopicService.method.subscribe, request, goesOn, signal)) {
    start = { case: "position", value: told.position };
    if (told.event) yield told.event;
  }
}

/** The run, once it has ended: however often the server goes away meanwhile. */
export async function waitUntilEnded(
  wire: Wire,
  runId: string,
  signal?: AbortSignal,
): Promise<Run> {
  for (;;) {
    const request = { runId, timeout: durationOf(WAIT_SECONDS)! };
    const { run } = await wire.call(RunService.method.wait, request, { signal });
    if (run?.endedAt) return run;
  }
}

/** What a server stream sends, dialled again whenever it is cut; until the signal aborts. */
async function* dialling<I extends DescMessage, O extends DescMessage>(
  wire: Wire,
  method: DescMethodServerStreaming<I, O>,
  request: () => MessageInitShape<I>,
  isEndless: boolean,
  signal?: AbortSignal,
): AsyncGenerator<MessageShape<O>, void> {
  for (let cuts = 0; !signal?.aborted;) {
    const ending = new AbortController();
    const ends = signal ? AbortSignal.any([signal, ending.signal]) : ending.signal;
    try {
      for await (const told of await wire.serverStream(method, request(), ends)) {
        cuts = 0;
        wire.hasContact = true;
        yield told;
      }
      if (!isEndless) return;
      cuts++;
    } catch (error) {
      if (signal?.aborted) return;
      cuts = countCut(error, cuts, wire);
    } finally {
      ending.abort();
    }
    await pause(backoffMs(Math.max(1, cuts), 100, 1000), signal);
  }
}

function countCut(error: unknown, cuts: number, wire: Wire): number {
  const told = errorFrom(error, wire.endpoint.url);
  if (told.reason === "CLOSED") throw told;
  if (told instanceof UnavailableError && wire.hasContact) return cuts + 1;
  const mayPass =
    told instanceof UnavailableError ||
    told instanceof ResourceExhaustedError ||
    told instanceof ServerError;
  if (!mayPass || cuts >= CUTS_IN_A_ROW_MAX) throw told;
  return cuts + 1;
}
