/** Payloads that the server makes, with the names the documentation uses. */
import type { EventPayload } from "../runs/types.js";

/** An event of the server, or a batch of them; anything else as it is. */
export function eventFields(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const given = value as Record<string, unknown>;
  if (Array.isArray(given["events"])) return { ...given, events: given["events"].map(eventFields) };
  if (!("sequence" in given) || !("topic" in given)) return value;
  const found: EventPayload = {
    id: `${String(given["topic"])}:${String(given["sequence"])}`,
    sequenceId: Number(given["sequence"]),
    topic: String(given["topic"]),
    eventType: (given["event_type"] as string | undefined) || undefined,
    data: given["data"] ?? null,
    createdAt: new Date(Number(given["created_at_ms"] ?? 0)).toISOString(),
  };
  return found;
}

/** The tick that started a run; anything else as it is. */
export function scheduleFields(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("schedule_id" in value)) return value;
  const { last_timestamp, schedule_id, ...rest } = value as Record<string, unknown>;
  return { ...rest, lastTimestamp: last_timestamp ?? null, scheduleId: schedule_id };
}
