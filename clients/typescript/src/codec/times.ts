/** Lengths and instants of the protos as numbers and texts. */
import { create } from "@bufbuild/protobuf";
import {
  DurationSchema,
  TimestampSchema,
  type Duration,
  type Timestamp,
} from "@bufbuild/protobuf/wkt";

/** A length of so many seconds, to the millisecond; undefined: none. */
export function durationOf(seconds: number | undefined): Duration | undefined {
  if (seconds === undefined) return undefined;
  const ms = Math.max(1, Math.round(seconds * 1000));
  return create(DurationSchema, {
    seconds: BigInt(Math.floor(ms / 1000)),
    nanos: (ms % 1000) * 1_000_000,
  });
}

/** Seconds of a length; undefined: none was set. */
export function secondsOf(length: Duration | undefined): number | undefined {
  return length === undefined ? undefined : Number(length.seconds) + length.nanos / 1e9;
}

/** An instant, to the millisecond. */
export function timestampOf(time: Date | undefined): Timestamp | undefined {
  if (time === undefined) return undefined;
  const ms = time.getTime();
  const seconds = Math.floor(ms / 1000);
  return create(TimestampSchema, {
    seconds: BigInt(seconds),
    nanos: (ms - seconds * 1000) * 1_000_000,
  });
}

/** Unix milliseconds of an instant; undefined: none was set. */
export function msOf(instant: Timestamp | undefined): number | undefined {
  if (instant === undefined) return undefined;
  return Number(instant.seconds) * 1000 + Math.floor(instant.nanos / 1_000_000);
}

/** An instant as ISO 8601 in UTC; undefined: none was set. */
export function isoOf(instant: Timestamp | undefined): string | undefined {
  const ms = msOf(instant);
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
