"""Following an agent run as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import aclosing
from typing import Any, Generic

from typing_extensions import TypeVar

from ._agent_events import Narrator
from ._run_models import raise_unless_completed
from ._startable import AnsweringAgent, StartableAgent
from ._starter import Starter
from ._tree_events import Tree
from ._wire.channel import Wire
from ._wire.streams import follow
from .handle import ExecutionHandle
from .types import AgentResult, Execution, StreamEvent
from .v1 import common_pb2


R = TypeVar("R", default=Any)  # the agent's answer


class TextChunk(str):
    """A piece of the answer.

    Attributes:
        step: the turn it belongs to, from 1.
        restarted: True where the server had to call the model again and the model now says
            something else: what was shown of this turn is void and the turn begins anew with this
            chunk, which then starts with a line break.
    """

    step: int = 0
    restarted: bool = False


class StreamResult(Generic[R]):
    """A run that was started; follow it, or just wait for its result.

    `created_at` is ISO 8601; `parent_execution_id` and `step_key` are None: it is a root.

    Every iteration of `text_chunks` or `events` follows the run from its start, also when it has
    ended meanwhile, and survives the server being away.
    """

    def __init__(self, client: Starter, agent: AnsweringAgent, run: ExecutionHandle) -> None:
        self._client = client
        self._agent = agent
        self._run_id = run.id
        self.created_at = run.created_at
        self.parent_execution_id: str | None = None
        self.step_key: str | None = None
        self.session_id = run.session_id
        self.user_id = run.user_id

    @property
    def id(self) -> str:
        """The run: a UUID."""
        return self._run_id

    @property
    def agent_run_id(self) -> str:
        """The same as `id`."""
        return self._run_id

    @property
    def workflow_id(self) -> str:
        """The agent's id."""
        return self._agent.id

    @property
    def root_workflow_id(self) -> str:
        """The same as `workflow_id`: runs that are streamed are roots."""
        return self._agent.id

    @property
    def root_execution_id(self) -> str:
        """The same as `id`."""
        return self._run_id

    @property
    def topic(self) -> str:
        """What `events.stream_topic` follows of it."""
        return f"workflow/{self._agent.id}/{self._run_id}"

    @property
    def text_chunks(self) -> AsyncIterator[TextChunk]:
        """The answer as it is written. See TextChunk for what a repeated model call looks like.

        Raises RunFailedError, RunCancelledError or WorkflowTimeoutError when the run ends badly.
        """
        return self._text_chunks()

    @property
    def events(self) -> AsyncIterator[StreamEvent]:
        """Everything that happens, as StreamEvents; the last one is `agent_finish`, or `error` or
        `agent_cancel` with the `reason` and the sentence (`error`).

        Types: agent_start, step_start, stream_start, text_delta {content, step, chunk_index,
        restarted}, reasoning_delta, tool_call {tool_name, tool_call}, tool_start, tool_finish
        {tool_name, status, result, error}, step_finish {step, output, usage, tool_results,
        duration_ms}, retry {step, attempt, voided} (the model was called again; `voided` is the
        text shown before), agent_finish {result, usage, total_steps, stop_reason}.
        """
        return self._events()

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        """The same as `events`."""
        return self._events()

    async def text(self) -> str:
        """The whole text of all turns, once the run has ended; errors as text_chunks."""
        narrator = self._narrator()
        async for response in follow(self._wire(), self._run_id, deltas=False):
            for _ in narrator.tell(response):
                pass
            self._check(response.ended if response.HasField("ended") else None)
        return narrator.text()

    async def result(self) -> AgentResult[R]:
        """The result, once the run has ended; errors as agent.run()."""
        return await self._client._agent_result(self._agent, self._run_id, None)

    async def get(self) -> Execution:
        """The run as it stands: status, steps, usage, what it waits for."""
        return await self._client.get_execution(self._run_id)

    async def cancel(self) -> bool:
        """Cancels the run; False when it had ended."""
        return await self._client.cancel_execution(self._run_id)

    def to_dict(self) -> dict[str, Any]:
        """The handle's plain values."""
        return {
            "id": self._run_id,
            "workflow_id": self._agent.id,
            "created_at": self.created_at,
            "root_workflow_id": self._agent.id,
            "root_execution_id": self._run_id,
            "session_id": self.session_id,
            "user_id": self.user_id,
        }

    # ---- inside ----

    def _wire(self) -> Wire:
        return self._client._connection().wire

    def _narrator(self) -> Narrator:
        return Narrator(run_id=self._run_id, agent_id=self._agent.id)

    def _check(self, ended: common_pb2.Run | None) -> None:
        if ended is not None:
            raise_unless_completed(ended, None)

    async def _events(self) -> AsyncIterator[StreamEvent]:
        tree = Tree(self._wire(), self._run_id, self._agent.id, answered=True)
        async with aclosing(tree.events()) as events:
            async for event in events:
                yield event

    async def _text_chunks(self) -> AsyncIterator[TextChunk]:
        narrator = self._narrator()
        async for response in follow(self._wire(), self._run_id, deltas=True):
            for event in narrator.tell(response):
                if event.event_type == "text_delta":
                    yield _chunk(event.data)
            self._check(response.ended if response.HasField("ended") else None)


class StreamStart(Generic[R]):
    """A run that is being started: awaited it gives a StreamResult, and so does `async with`, which
    cancels the run when it is left by an exception."""

    def __init__(
        self,
        client: Starter,
        agent: StartableAgent,
        start: Coroutine[Any, Any, ExecutionHandle],
    ) -> None:
        self._client = client
        self._agent = agent
        self._start = start
        self._started: StreamResult[R] | None = None

    def __await__(self) -> Generator[Any, None, StreamResult[R]]:
        return self._result().__await__()

    async def __aenter__(self) -> StreamResult[R]:
        self._started = await self._result()
        return self._started

    async def __aexit__(
        self, kind: type[BaseException] | None, error: object, traceback: object
    ) -> None:
        if kind is not None and self._started is not None:
            await self._started.cancel()

    async def _result(self) -> StreamResult[R]:
        return StreamResult(self._client, self._agent, await self._start)


def _chunk(data: dict[str, Any]) -> TextChunk:
    restarted = bool(data["restarted"])
    chunk = TextChunk("\n" + data["content"] if restarted else data["content"])
    chunk.restarted = restarted
    chunk.step = data["step"]
    return chunk
