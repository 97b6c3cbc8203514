/** What starts runs of a workflow by itself: events and the clock, as hosts offer them. */
import { create } from "@bufbuild/protobuf";
import { durationOf } from "../codec/times.js";
import { InvalidArgumentError } from "../errors.js";
import { EventTriggerSchema, type EventTrigger } from "../gen/polos/v1/definitions_pb.js";
import { ScheduleSpecSchema, type ScheduleSpec } from "../gen/polos/v1/schedules_pb.js";

const TOPIC_BYTES_MAX = 512;

/** When the clock starts runs. */
export interface ScheduleConfig {
  /** "30 9 * * MON-FRI", "@daily". */
  cron: string;
  /** "Europe/Berlin". Default: "UTC". */
  timezone?: string | undefined;
  /** Tells the schedules of a workflow apart. Default: "global". */
  key?: string | undefined;
}

interface Sources {
  id: string;
  queue?: unknown;
  schedule?: string | ScheduleConfig | boolean | undefined;
  triggerOnEvent?: string | undefined;
  batchSize?: number | undefined;
  batchTimeoutSeconds?: number | undefined;
}

/** The topic whose events start runs; undefined: none. Throws InvalidArgumentError. */
export function triggerOffer(config: Sources): EventTrigger | undefined {
  const { triggerOnEvent: topic, batchSize = 1, batchTimeoutSeconds } = config;
  if (topic === undefined) {
    if (config.batchSize === undefined && batchTimeoutSeconds === undefined) return undefined;
    refuse(config, "batchSize and batchTimeoutSeconds need triggerOnEvent", "batchSize");
  }
  if (typeof topic !== "string" || !topic || Buffer.byteLength(topic) > TOPIC_BYTES_MAX) {
    refuse(config, "triggerOnEvent is a topic of 1 to 512 bytes", "triggerOnEvent");
  }
  if (!(Number.isInteger(batchSize) && batchSize >= 1)) {
    refuse(config, "batchSize is 1 or more", "batchSize");
  }
  if (batchTimeoutSeconds !== undefined && !(batchTimeoutSeconds > 0)) {
    refuse(config, "batchTimeoutSeconds is more than 0", "batchTimeoutSeconds");
  }
  const batchTimeout = durationOf(batchTimeoutSeconds);
  return create(EventTriggerSchema, { topic, batchSize, batchTimeout });
}

/**
 * When the clock starts runs; undefined: there is nothing to offer. Throws InvalidArgumentError.
 */
export function scheduleOffer(config: Sources): ScheduleSpec | undefined {
  const { schedule } = config;
  if (schedule === undefined || schedule === false) return undefined;
  if (config.queue !== undefined) {
    refuse(config, "a workflow with a schedule cannot have a queue", "schedule");
  }
  if (config.triggerOnEvent !== undefined) {
    refuse(config, "a workflow with a schedule cannot have triggerOnEvent, too", "schedule");
  }
  if (schedule === true) return undefined;
  const given = typeof schedule === "string" ? { cron: schedule } : schedule;
  const spec = { timezone: "UTC", key: "global", ...given };
  for (const name of ["cron", "timezone", "key"] as const) {
    if (typeof spec[name] === "string" && spec[name].trim()) continue;
    refuse(config, `the schedule's ${name} is a text that is not empty`, "schedule");
  }
  return create(ScheduleSpecSchema, {
    cron: spec.cron,
    timezone: spec.timezone!,
    key: spec.key!,
  });
}

function refuse(config: Sources, why: string, field: string): never {
  throw new InvalidArgumentError(`workflow ${config.id}: ${why}`, { field });
}
