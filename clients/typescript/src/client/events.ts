/** Events: publish to topics, follow topics and runs. */
import { randomUUID } from "node:crypto";
import { checkedText } from "../checks.js";
import { stringifyArgument } from "../codec/json.js";
import { InvalidArgumentError } from "../errors.js";
import { TopicService } from "../gen/polos/v1/topics_pb.js";
import { objectOf } from "../runs/models.js";
import type { EventData, StreamEvent } from "../runs/types.js";
import { runEvents, topicEvent } from "./run-events.js";
import { subscribe } from "../wire/streams.js";
import type { Wiring } from "./wiring.js";

const RUN_TOPIC = /^workflow\/([^/]+)\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** How events are published. */
export interface PublishOptions {
  /**
   * 1 to 200 bytes. For 24 hours, the same key and topic find what was published first and publish
   * nothing; with other events ConflictError is thrown. Default: every call publishes.
   */
  idempotencyKey?: string;
}

/** `client.events`. */
export class Events {
  readonly #wiring: () => Wiring;

  constructor(wiring: () => Wiring) {
    this.#wiring = wiring;
  }

  /** Publishes one event; its number, once it is durable. */
  async publish(topic: string, event: EventData, ...rest: unknown[]): Promise<number> {
    return (await this.batchPublish(topic, [event], ...rest))[0]!;
  }

  /**
   * Publishes events to a topic, in order; their numbers, once they are durable. When the
   * connection breaks meanwhile they are sent again, and are there once all the same.
   *
   * @param rest PublishOptions; the documented ids of executions, before them, are not used.
   */
  async batchPublish(topic: string, events: EventData[], ...rest: unknown[]): Promise<number[]> {
    const options = objectOf(rest.at(-1)) as PublishOptions;
    if (options.idempotencyKey === "") {
      throw new InvalidArgumentError("idempotencyKey is empty: it is 1 to 200 bytes", {
        field: "idempotencyKey",
      });
    }
    const told = await this.#wiring().wire.call(TopicService.method.publish, {
      topic: checkedText(topic, "topic"),
      events: events.map((event) => ({
        eventType: checkedText(event.eventType, "eventType"),
        dataJson: stringifyArgument(event.data ?? {}, "the data of an event", "events.data"),
      })),
      idempotencyKey: options.idempotencyKey ?? randomUUID(),
    });
    return told.sequences.map(Number);
  }

  /**
   * A topic's events, for as long as the caller wants them; survives the server being away.
   * `workflow/WORKFLOW/RUN` is the topic of a run: what happens in it, as streamWorkflow() tells.
   *
   * @param lastSequenceId events after this one; 0: from the first that is kept.
   * @param lastTimestamp events after this time. With neither: those that come.
   */
  async *streamTopic(
    topic: string,
    lastSequenceId?: number,
    lastTimestamp?: Date,
  ): AsyncGenerator<StreamEvent, void> {
    const run = RUN_TOPIC.exec(topic);
    if (run) return yield* this.streamWorkflow(run[1]!, run[2]!);
    const begin = { afterSequence: lastSequenceId, afterTime: lastTimestamp };
    const all = subscribe(this.#wiring().wire, topic, begin, { goesOn: true });
    for await (const event of all) yield topicEvent(event);
  }

  /**
   * What happens in a run and all below it, from its start until it has ended, and what its code
   * publishes (ctx.step.publishWorkflowEvent). docs/events.md lists the types.
   *
   * @param lastSequenceId only the run's events after this number of its history; 0: suspensions
   *   that had been answered before are told, too.
   * @param lastTimestamp only events after this time.
   */
  async *streamWorkflow(
    workflowId: string,
    workflowRunId: string,
    lastSequenceId?: number,
    lastTimestamp?: Date,
  ): AsyncGenerator<StreamEvent, void> {
    const { wire, suspensions } = this.#wiring();
    const since = lastTimestamp?.getTime() ?? -Infinity;
    const answered = lastSequenceId === 0;
    for await (const { event, isOwn } of runEvents(wire, workflowId, workflowRunId, answered)) {
      if (isOwn) noteSuspension(suspensions, event, workflowRunId);
      if (isOwn && lastSequenceId && event.sequenceId <= lastSequenceId) continue;
      if (!event.createdAt || Date.parse(event.createdAt) > since) yield event;
    }
  }
}

/** Whoever answers here later means the suspension that was seen. */
function noteSuspension(seen: Wiring["suspensions"], event: StreamEvent, rootId: string): void {
  const { eventType = "", data } = event;
  const id = String(data["_suspension_id"] ?? "");
  if (!id) return;
  if (eventType.startsWith("suspend_")) {
    seen.note(id, eventType.slice("suspend_".length), String(data["_execution_id"]), rootId);
  } else {
    seen.forget(id);
  }
}
