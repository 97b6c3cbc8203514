/** Schedules: have the clock start workflows and agents. */
import { randomUUID } from "node:crypto";
import { stringifyArgument } from "../codec/json.js";
import { msOf } from "../codec/times.js";
import * as registry from "../define/registry.js";
import { InvalidArgumentError } from "../errors.js";
import type { Target } from "../execution/startable.js";
import { RunKind } from "../gen/polos/v1/common_pb.js";
import { ScheduleService, type Schedule } from "../gen/polos/v1/schedules_pb.js";
import type { Wiring } from "./wiring.js";

/** A schedule as the server keeps it. */
export interface ScheduleInfo {
  /** "<workflow>/<key>". */
  scheduleId: string;
  workflowId: string;
  key: string;
  cron: string;
  timezone: string;
  /** undefined: it rests. */
  nextTick: Date | undefined;
  /** undefined: there was none. */
  lastTick: Date | undefined;
  lastRunId: string | undefined;
  /** Ticks that started no run, because the one before had not ended. */
  skippedTicks: number;
  isPaused: boolean;
  /** Why it rests; undefined: it does not. */
  problem: string | undefined;
}

const KEY = "global";

/** `client.schedules`. */
export class Schedules {
  readonly #wiring: () => Wiring;

  constructor(wiring: () => Wiring) {
    this.#wiring = wiring;
  }

  /**
   * Has the clock start a workflow or an agent, or changes when it does; the schedule's id.
   *
   * @param workflow it or its id. A workflow need not be hosted yet; an agent is told a payload.
   * @param cron minute, hour, day of month, month, day of week: "30 9 * * MON-FRI"; or "@daily".
   * @param timezone whose clocks on the wall are meant.
   * @param key tells the workflow's schedules apart; one with this key is replaced.
   * @param payload what each run is told. Default: a SchedulePayload.
   * Throws InvalidArgumentError for what is no time or zone.
   */
  async create(
    workflow: string | Target,
    cron: string,
    timezone = "UTC",
    key = KEY,
    payload?: unknown,
  ): Promise<string> {
    const { wire, ready } = this.#wiring();
    const target = targetOf(workflow);
    const isAgent = target?.kind === "agent";
    const inputJson =
      payload === undefined ? "" : stringifyArgument(payload, "the payload", "payload");
    if (isAgent) await ready(target);
    try {
      const told = await wire.call(ScheduleService.method.put, {
        kind: isAgent ? RunKind.AGENT : RunKind.WORKFLOW,
        name: idOf(workflow),
        spec: { cron, timezone, key },
        inputJson,
      });
      return told.schedule!.id;
    } catch (error) {
      throw error instanceof InvalidArgumentError ? plainly(error) : error;
    }
  }

  /** All schedules, or those of a workflow or an agent, by id. */
  async list(workflow?: string | Target): Promise<ScheduleInfo[]> {
    const request = { name: workflow === undefined ? "" : idOf(workflow) };
    const { wire } = this.#wiring();
    const found = await wire.rows(ScheduleService.method.list, request, (page) => page.schedules);
    return found.map(infoOf);
  }

  /** Ends a schedule; runs it has started go on. Throws NotFoundError: there is none. */
  async delete(workflow: string | Target, key = KEY): Promise<void> {
    const request = { scheduleId: `${idOf(workflow)}/${key}` };
    await this.#wiring().wire.call(ScheduleService.method.delete, request);
  }

  /** It starts no runs until unpause(); `cause` is for people. Throws NotFoundError. */
  async pause(workflow: string | Target, key = KEY, cause = ""): Promise<ScheduleInfo> {
    const request = { scheduleId: `${idOf(workflow)}/${key}`, cause };
    return infoOf(
      (await this.#wiring().wire.call(ScheduleService.method.pause, request)).schedule!,
    );
  }

  /** It goes on with its first tick from now on; nothing is caught up. Throws NotFoundError. */
  async unpause(workflow: string | Target, key = KEY): Promise<ScheduleInfo> {
    const request = { scheduleId: `${idOf(workflow)}/${key}` };
    return infoOf(
      (await this.#wiring().wire.call(ScheduleService.method.unpause, request)).schedule!,
    );
  }

  /**
   * Starts a run now, as a tick would, also of a schedule that is paused; the run's id. Throws
   * NotFoundError: there is no such schedule. ConflictError: its last run has not ended.
   */
  async trigger(workflow: string | Target, key = KEY, idempotencyKey?: string): Promise<string> {
    const request = {
      scheduleId: `${idOf(workflow)}/${key}`,
      idempotencyKey: idempotencyKey ?? randomUUID(),
    };
    return (await this.#wiring().wire.call(ScheduleService.method.trigger, request)).runId;
  }
}

function idOf(workflow: string | Target): string {
  return typeof workflow === "string" ? workflow : workflow.id;
}

function targetOf(workflow: string | Target): Target | undefined {
  return typeof workflow === "string" ? registry.find(workflow) : workflow;
}

/** An error that names our argument instead of the request's field. */
function plainly(error: InvalidArgumentError): InvalidArgumentError {
  const field = error.field === "name" ? "workflow" : error.field.replace(/^spec\./, "");
  return new InvalidArgumentError(error.message, { reason: error.reason, field });
}

function infoOf(found: Schedule): ScheduleInfo {
  return {
    scheduleId: found.id,
    workflowId: found.name,
    key: found.spec?.key ?? "",
    cron: found.spec?.cron ?? "",
    timezone: found.spec?.timezone ?? "",
    nextTick: dateOf(found.nextTick),
    lastTick: dateOf(found.lastTick),
    lastRunId: found.lastRunId || undefined,
    skippedTicks: Number(found.skippedTicks),
    isPaused: found.paused,
    problem: found.problem || undefined,
  };
}

function dateOf(instant: Parameters<typeof msOf>[0]): Date | undefined {
  const ms = msOf(instant);
  return ms === undefined ? undefined : new Date(ms);
}
