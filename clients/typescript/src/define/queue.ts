/** What queues are made of, and what stands in the option `queue` of others. */
import { create } from "@bufbuild/protobuf";
import { checkedId } from "../checks.js";
import { durationOf } from "../codec/times.js";
import { InvalidArgumentError } from "../errors.js";
import { QueueDefinitionSchema, type QueueDefinition } from "../gen/polos/v1/queues_pb.js";
import * as registry from "./registry.js";

const LIMIT_MAX = 1_000_000;
const RATE_MAX = 10_000;
const RATE_PERIOD_SECONDS_MAX = 31 * 24 * 3600;

/** The limits of a queue; what is not given is no limit. */
export interface QueueOptions {
  /** Runs of one concurrency key at once, 1 to 1,000,000; runs without a key share one. */
  concurrencyLimit?: number | undefined;
  /** Runs of the whole queue at once, 1 to 1,000,000. */
  totalLimit?: number | undefined;
  /** Runs that begin within any `ratePeriod`, 1 to 10,000. */
  rateLimit?: number | undefined;
  /** Seconds, 0.001 to 31 days. Default: 1. */
  ratePeriod?: number | undefined;
}

/** A queue with its name. */
export interface QueueConfig extends QueueOptions {
  name: string;
}

/** A queue as hosts that are started from this process define it. */
export class Queue {
  readonly name: string;
  readonly concurrencyLimit: number | undefined;
  readonly totalLimit: number | undefined;
  readonly rateLimit: number | undefined;
  readonly ratePeriod: number;

  constructor(config: QueueConfig | string, options: QueueOptions = {}) {
    const found = typeof config === "string" ? { ...options, name: config } : config;
    this.name = checkedId(found.name, "queue");
    this.concurrencyLimit = checkedLimit(found, "concurrencyLimit", LIMIT_MAX);
    this.totalLimit = checkedLimit(found, "totalLimit", LIMIT_MAX);
    this.rateLimit = checkedLimit(found, "rateLimit", RATE_MAX);
    this.ratePeriod = found.ratePeriod ?? 1;
    if (!(this.ratePeriod >= 0.001 && this.ratePeriod <= RATE_PERIOD_SECONDS_MAX)) {
      throw new InvalidArgumentError(
        `the ratePeriod of queue ${this.name} is ${this.ratePeriod}: it is 0.001 seconds to ` +
          "31 days",
        { field: "ratePeriod" },
      );
    }
    registry.queues.set(this.name, this);
  }

  /** As the server takes it. */
  definition(): QueueDefinition {
    return create(QueueDefinitionSchema, {
      name: this.name,
      concurrencyLimit: this.totalLimit ?? 0,
      perKeyLimit: this.concurrencyLimit ?? 0,
      rateLimit: this.rateLimit ?? 0,
      ratePeriod: this.rateLimit ? durationOf(this.ratePeriod) : undefined,
    });
  }
}

function checkedLimit(
  config: QueueConfig,
  name: "concurrencyLimit" | "totalLimit" | "rateLimit",
  most: number,
): number | undefined {
  const limit = config[name];
  if (limit === undefined || (Number.isInteger(limit) && limit >= 1 && limit <= most)) return limit;
  throw new InvalidArgumentError(
    `the ${name} of queue ${config.name} is ${limit}: it is 1 to ${most}, or not given`,
    { field: name },
  );
}

/** The name of what stands in an option `queue`: a name, a Queue, or its limits. */
export function queueNameOf(
  given: string | Queue | Partial<QueueConfig> | undefined,
  ownerId: string,
): string {
  if (given === undefined) return defaultName(ownerId);
  if (typeof given === "string") return checkedId(given, "queue");
  if (given instanceof Queue) return given.name;
  return new Queue({ name: ownerId, ...given }).name;
}

/**
 * The queue of what names none: its own, where $POLOS_DEFAULT_CONCURRENCY_LIMIT gives each one a
 * limit; empty: none.
 */
function defaultName(ownerId: string): string {
  const text = process.env["POLOS_DEFAULT_CONCURRENCY_LIMIT"] ?? "";
  return text ? new Queue({ name: ownerId, concurrencyLimit: Number(text) }).name : "";
}
