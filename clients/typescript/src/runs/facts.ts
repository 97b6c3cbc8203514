/**
 * Facts of a run's history as plain values: what HistoryEvent.type and .data are.
 *
 * Names are those of history.proto, with what is not set left out: JSON text is the value it stands
 * for, under its name without "_json"; instants and lengths are milliseconds, under "..._ms"; words
 * of enums are in lower case. A settled step stands in its fact, not below it.
 */
import type { DescEnum, DescField } from "@bufbuild/protobuf";
import { isReflectMessage, reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { parsed } from "../codec/json.js";
import { HistoryEventSchema, type HistoryEvent } from "../gen/polos/v1/history_pb.js";

const UNKNOWN = "UNKNOWN"; // a kind of a newer server
const INSTANTS = ["google.protobuf.Timestamp", "google.protobuf.Duration"];
const IN_PLACE = ["polos.v1.SettledStep", "polos.v1.TaskOutcome"]; // members stand in the owner

/** "RUN_STARTED", "STEP_SETTLED", ... */
export function typeOf(fact: HistoryEvent): string {
  return fieldOf(fact)?.name.toUpperCase() ?? UNKNOWN;
}

/** What the fact says beyond its time and its effect. */
export function dataOf(fact: HistoryEvent): Record<string, any> {
  const field = fieldOf(fact);
  const told = field && reflect(HistoryEventSchema, fact).get(field);
  const found = isReflectMessage(told) ? membersOf(told) : {};
  if (fact.leftOutBytes) found["left_out_bytes"] = Number(fact.leftOutBytes);
  return found;
}

function fieldOf(fact: HistoryEvent): DescField | undefined {
  return HistoryEventSchema.fields.find(
    (field) => field.oneof && field.localName === fact.event.case,
  );
}

function membersOf(message: ReflectMessage): Record<string, any> {
  const found: Record<string, any> = {};
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    const value: unknown = message.get(field);
    const name = isReflectMessage(value) ? value.desc.typeName : "";
    if (isReflectMessage(value) && IN_PLACE.includes(name)) {
      Object.assign(found, membersOf(value));
    } else if (isReflectMessage(value) && INSTANTS.includes(name)) {
      found[`${field.name}_ms`] = msOf(value);
    } else if (field.name.endsWith("_json")) {
      found[field.name.slice(0, -"_json".length)] = parsed(String(value));
    } else if (field.fieldKind === "list") {
      found[field.name] = [...(value as Iterable<unknown>)].map((each) => plainOf(field, each));
    } else {
      found[field.name] = plainOf(field, value);
    }
  }
  return found;
}

function plainOf(field: DescField, value: unknown): unknown {
  if (isReflectMessage(value)) return plainMessage(value);
  if (field.enum) return wordOf(field.enum, Number(value));
  return typeof value === "bigint" ? Number(value) : value;
}

function plainMessage(message: ReflectMessage): unknown {
  const members = membersOf(message);
  if (message.desc.typeName === "polos.v1.RunList") return members["runs"] ?? [];
  if (message.desc.typeName !== "polos.v1.TaskError") return members;
  const { type = "", ...rest } = members; // named as every other failure is
  return { reason: type as unknown, ...rest };
}

/** "max_turns" of STOP_REASON_MAX_TURNS; the number of a word that is not known. */
function wordOf(words: DescEnum, number: number): string {
  const prefix = words.sharedPrefix ?? "";
  return words.value[number]?.name.toLowerCase().slice(prefix.length) ?? String(number);
}

function msOf(message: ReflectMessage): number {
  const { seconds, nanos } = message.message as unknown as { seconds: bigint; nanos: number };
  return Number(seconds) * 1000 + Math.floor(nanos / 1_000_000);
}
