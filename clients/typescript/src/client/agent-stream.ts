/** What follows the run of an agent: its events, and its text as it is written. */
import type { StreamSource, TextChunk } from "../define/stream.js";
import { throwUnlessCompleted } from "../runs/models.js";
import type { StreamEvent } from "../runs/types.js";
import { AgentNarrator } from "../views/agent-events.js";
import { follow } from "../wire/streams.js";
import { runEvents } from "./run-events.js";
import type { Wiring } from "./wiring.js";

export function sourceOf(wiring: Wiring, agentId: string, runId: string): StreamSource {
  const topic = `workflow/${agentId}/${runId}`;
  return {
    events: () => eventsOf(wiring, agentId, runId),
    chunks: () => chunksOf(wiring, new AgentNarrator(runId, agentId, topic), runId),
    async text() {
      const narrator = new AgentNarrator(runId, agentId, topic);
      for await (const told of follow(wiring.wire, runId, { deltas: false })) {
        for (const event of narrator.tell(told)) void event;
        if (told.event.case === "ended") throwUnlessCompleted(told.event.value, undefined);
      }
      return narrator.text();
    },
  };
}

async function* eventsOf(
  wiring: Wiring,
  agentId: string,
  runId: string,
): AsyncGenerator<StreamEvent, void> {
  for await (const { event } of runEvents(wiring.wire, agentId, runId, true)) yield event;
}

async function* chunksOf(
  wiring: Wiring,
  narrator: AgentNarrator,
  runId: string,
): AsyncGenerator<TextChunk, void> {
  for await (const told of follow(wiring.wire, runId, { deltas: true })) {
    for (const { eventType, data } of narrator.tell(told)) {
      if (eventType !== "text_delta") continue;
      const { content, step, restarted } = data as TextChunk & Record<string, any>;
      yield { content, step, restarted };
    }
    if (told.event.case === "ended") throwUnlessCompleted(told.event.value, undefined);
  }
}
