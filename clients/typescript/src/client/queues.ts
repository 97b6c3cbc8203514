/** Queues as the server has them. */
import { Queue, type QueueOptions } from "../define/queue.js";
import { QueueService, type Queue as WireQueue } from "../gen/polos/v1/queues_pb.js";
import { secondsOf } from "../codec/times.js";
import type { Wiring } from "./wiring.js";

/** A queue as the server has it: its limits, undefined for none, and how busy it is. */
export interface QueueInfo extends QueueOptions {
  name: string;
  /** Runs at work. */
  running: number;
  /** Runs that wait for admission. */
  waiting: number;
}

/** `client.queues`. */
export class Queues {
  readonly #wiring: () => Wiring;

  constructor(wiring: () => Wiring) {
    this.#wiring = wiring;
  }

  /** Defines a queue now, or changes its limits, which hold at once; what runs goes on. */
  async put(queue: Queue): Promise<QueueInfo> {
    const request = { queue: queue.definition() };
    return infoOf((await this.#wiring().wire.call(QueueService.method.put, request)).queue!);
  }

  /** All queues, by name. */
  async list(): Promise<QueueInfo[]> {
    const { wire } = this.#wiring();
    return (await wire.rows(QueueService.method.list, {}, (page) => page.queues)).map(infoOf);
  }

  /**
   * Ends a queue that nothing waits or works in. Throws ConflictError: runs are in it.
   * NotFoundError: there is none.
   */
  async delete(queue: string | Queue): Promise<void> {
    const name = typeof queue === "string" ? queue : queue.name;
    await this.#wiring().wire.call(QueueService.method.delete, { name });
  }
}

function infoOf(found: WireQueue): QueueInfo {
  const limits = found.definition;
  return {
    name: limits?.name ?? "",
    concurrencyLimit: limits?.perKeyLimit || undefined,
    totalLimit: limits?.concurrencyLimit || undefined,
    rateLimit: limits?.rateLimit || undefined,
    ratePeriod: limits?.rateLimit ? secondsOf(limits.ratePeriod) : undefined,
    running: found.running,
    waiting: found.waiting,
  };
}
