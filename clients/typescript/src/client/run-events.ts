/** What happens in a run's tree, and what its code publishes meanwhile, as one stream. */
import { parsed } from "../codec/json.js";
import { isoOf } from "../codec/times.js";
import { Agent } from "../define/agent.js";
import * as registry from "../define/registry.js";
import type { TopicEvent } from "../gen/polos/v1/topics_pb.js";
import type { StreamEvent } from "../runs/types.js";
import { Queue } from "../views/queue.js";
import { treeEvents } from "../views/tree-events.js";
import { subscribe } from "../wire/streams.js";
import type { Wire } from "../wire/wire.js";
import { Signal } from "./signal.js";

/** An event; `isOwn`: it happened, nobody published it. */
export interface RunEvent {
  event: StreamEvent;
  isOwn: boolean;
}

/**
 * A run publishes nothing before its start, and what it published just before its end comes before
 * that.
 */
export async function* runEvents(
  wire: Wire,
  name: string,
  runId: string,
  answered: boolean,
): AsyncGenerator<RunEvent, void> {
  const merged = new Merged(wire, name, runId, answered);
  try {
    yield* merged.events();
  } finally {
    merged.close();
  }
}

class Merged {
  private readonly found = new Queue<RunEvent | { error: unknown } | "end">();
  private readonly begun = new Signal();
  private readonly ending = new AbortController();
  private readonly topic: string;
  private lastPublished = 0;

  constructor(
    private readonly wire: Wire,
    private readonly name: string,
    private readonly runId: string,
    private readonly answered: boolean,
  ) {
    this.topic = `workflow/${name}/${runId}`;
  }

  async *events(): AsyncGenerator<RunEvent, void> {
    const failed = (error: unknown) => this.found.put({ error });
    void this.readRuns().then(() => this.found.put("end"), failed);
    void this.readTopic(true).catch(failed);
    for (;;) {
      const next = await this.found.next();
      if (next === "end") return;
      if ("error" in next) throw next.error;
      yield next;
    }
  }

  close(): void {
    this.ending.abort();
    this.begun.set();
  }

  private async readRuns(): Promise<void> {
    const { signal } = this.ending;
    const tree = treeEvents(this.wire, {
      runId: this.runId,
      name: this.name,
      answered: this.answered,
      wantsDeltas,
      beforeEnd: async () => {
        this.begun.set();
        await this.readTopic(false);
      },
    });
    for await (const event of tree) {
      if (signal.aborted) return;
      this.found.put({ event, isOwn: true });
      this.begun.set();
    }
  }

  private async readTopic(goesOn: boolean): Promise<void> {
    await this.begun.wait();
    const begin = { afterSequence: this.lastPublished };
    const { signal } = this.ending;
    for await (const event of subscribe(this.wire, this.topic, begin, { goesOn, signal })) {
      if (Number(event.sequence) <= this.lastPublished) continue;
      this.lastPublished = Number(event.sequence);
      this.found.put({ event: topicEvent(event), isOwn: false });
    }
  }
}

/** Whether text of a run below is told as it is written. */
function wantsDeltas(name: string): boolean {
  const target = registry.find(name);
  return target instanceof Agent && target.streamToWorkflow;
}

/** An event of a topic as those of streams are. */
export function topicEvent(event: TopicEvent): StreamEvent {
  const data = parsed(event.dataJson);
  const isObject = typeof data === "object" && data !== null && !Array.isArray(data);
  return {
    id: `${event.topic}:${event.sequence}`,
    sequenceId: Number(event.sequence),
    topic: event.topic,
    eventType: event.eventType || undefined,
    data: isObject ? (data as Record<string, any>) : { data },
    createdAt: isoOf(event.createdAt),
  };
}
