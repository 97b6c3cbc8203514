/**
 * What happens in a run and in all below it, as one stream of events.
 *
 * Each run's journal is followed by a reader of its own. A run's events come in their order; those
 * of a run that another waits for come between the other's beginning and end of that wait.
 */
import type { RunServiceWatchResponse as Told } from "../gen/polos/v1/runs_pb.js";
import { kindWordOf } from "../runs/models.js";
import type { StreamEvent } from "../runs/types.js";
import { follow } from "../wire/streams.js";
import type { Wire } from "../wire/wire.js";
import { AgentNarrator } from "./agent-events.js";
import { Queue } from "./queue.js";
import { RunNarrator, type Teller } from "./workflow-events.js";

/** Which run is followed, and what of it is told. */
export interface TreeOptions {
  /** The root, and what it runs. */
  runId: string;
  name: string;
  /** Whether text is told as it is written, of a run of this name; the root's always is. */
  wantsDeltas: (name: string) => boolean;
  /** Suspensions that had been answered before this began are told, too. */
  answered?: boolean;
  /** Awaited before the root's end is told. */
  beforeEnd?: () => Promise<void>;
}

type Found = { event: StreamEvent } | { error: unknown } | "end";

/** Everything that happens in a run and all below it, until the run has ended. */
export async function* treeEvents(
  wire: Wire,
  options: TreeOptions,
): AsyncGenerator<StreamEvent, void> {
  const tree = new Tree(wire, options);
  try {
    yield* tree.events();
  } finally {
    tree.close();
  }
}

class Tree {
  private readonly topic: string;
  private readonly found = new Queue<Found>();
  private readonly readers = new Map<string, Promise<void>>();
  private readonly ending = new AbortController();
  private seq = 0; // of the root's last event

  constructor(
    private readonly wire: Wire,
    private readonly options: TreeOptions,
  ) {
    this.topic = `workflow/${options.name}/${options.runId}`;
  }

  async *events(): AsyncGenerator<StreamEvent, void> {
    this.begin(this.options.runId, this.options.name);
    for (;;) {
      const next = await this.found.next();
      if (next === "end") return;
      if ("error" in next) throw next.error;
      yield next.event;
    }
  }

  close(): void {
    this.ending.abort();
  }

  private begin(runId: string, name: string): void {
    if (this.readers.has(runId)) return;
    const reader = this.read(runId, name).catch((error: unknown) => this.found.put({ error }));
    this.readers.set(runId, reader);
  }

  private async read(runId: string, name: string): Promise<void> {
    const deltas = name === this.options.name || this.options.wantsDeltas(name);
    const { signal } = this.ending;
    let past: Told[] | undefined = []; // what was there before, until all of it has come
    let teller: Teller | undefined;
    for await (const told of follow(this.wire, runId, { deltas, signal })) {
      past?.push(told);
      if (past && told.event.case !== "caughtUp" && told.event.case !== "ended") continue;
      const due: Told[] = past ?? [told];
      const settled: Set<number> = this.options.answered ? new Set() : settledIn(due);
      past = undefined;
      for (const each of due) {
        teller ??= this.tellerOf(runId, name, each, settled);
        await this.tell(teller, runId, each);
      }
    }
  }

  private tellerOf(runId: string, name: string, first: Told, settled: Set<number>): Teller {
    const started = first.event.case === "fact" ? first.event.value.event : undefined;
    const kind = started?.case === "runStarted" ? kindWordOf(started.value.kind) : "workflow";
    if (kind === "agent") return new AgentNarrator(runId, name, this.topic, settled);
    return new RunNarrator(name, runId, this.topic, kind, settled);
  }

  private async tell(teller: Teller, runId: string, told: Told): Promise<void> {
    const isRoot = runId === this.options.runId;
    const { awaited, started } = childrenIn(told);
    if (awaited) await this.readers.get(awaited);
    const isEnd = isRoot && told.event.case === "ended";
    if (isEnd) await this.options.beforeEnd?.();
    for (const event of teller.tell(told)) {
      if (isRoot) this.seq = event.sequenceId;
      const own = isRoot ? {} : { id: `${runId}:${event.id}`, sequenceId: this.seq };
      this.found.put({ event: { ...event, ...own } });
    }
    if (isEnd) this.found.put("end"); // what happens below from now on is told to nobody
    for (const [each, name] of started) this.begin(each, name);
  }
}

/** The run whose end a fact tells, and runs that it starts, with what they run. */
function childrenIn(told: Told): { awaited?: string; started: [id: string, name: string][] } {
  if (told.event.case !== "fact") return { started: [] };
  const { event } = told.event.value;
  if (event.case === "childSettled") return { awaited: event.value.run?.id ?? "", started: [] };
  if (event.case !== "waitSet" || event.value.detail.case !== "runs") return { started: [] };
  const { runs } = event.value.detail.value;
  return { started: runs.filter((run) => run.id).map((run) => [run.id, run.name]) };
}

/** Effects of waits that have ended. */
function settledIn(past: Told[]): Set<number> {
  const found = new Set<number>();
  for (const { event } of past) {
    if (event.case !== "fact" || event.value.event.case !== "waitSettled") continue;
    found.add(event.value.effectId);
  }
  return found;
}
