"""Guardrails: what judges an agent's replies before anybody acts on them or sees their text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

from ._asked import AskedAbout, AskedFunction, Decision
from ._codec.text import dumps_shown
from ._run_models import parsed
from .context import AgentContext, WorkflowContext
from .types import AgentConfig, Step, ToolCall, ToolCallFunction
from .v1 import definitions_pb2, history_pb2, host_pb2


class GuardrailAction(Enum):
    """What a guardrail wants."""

    CONTINUE = "continue"
    FAIL = "fail"


class GuardrailContext(AskedAbout):
    """What a guardrail may look at.

    Attributes:
        workflow_id: the agent's id.
        session_id, user_id: as given at the run's start; None when not given.
        agent_config: the agent.
        steps: the turns before this one; of a long run the newest.
        content: the reply's text, as the guardrails before left it.
        tool_calls: its calls, likewise.
    """

    content: str | None = None
    tool_calls: list[ToolCall] = []


class GuardrailResult(Decision):
    """What a guardrail decides: GuardrailResult.continue_with() or GuardrailResult.fail("why")."""

    action: GuardrailAction = GuardrailAction.CONTINUE
    modified_content: str | None = None
    modified_tool_calls: list[ToolCall] | None = None
    modified_llm_config: dict[str, Any] | None = None
    error_message: str | None = None

    @classmethod
    def continue_with(cls, **modifications: Any) -> GuardrailResult:
        """Lets the reply pass. `modified_content`: another text; `modified_tool_calls`: the calls
        that are made instead."""
        return cls(action=GuardrailAction.CONTINUE, **modifications)

    @classmethod
    def fail(cls, message: str) -> GuardrailResult:
        """Turns the reply down: the model is told why, and replies again, at most
        `guardrail_max_retries` times; then the run fails."""
        return cls(action=GuardrailAction.FAIL, error_message=message)


class Guardrail(AskedFunction[GuardrailResult]):
    """A function of (ctx, guardrail_ctx) that gives a GuardrailResult; plain or async."""

    word = "guardrail"
    gives = GuardrailResult

    async def ask(self, ctx: WorkflowContext, about: AskedAbout) -> GuardrailResult:
        """What the function decides; TypeError when that is none."""
        said = await super().ask(ctx, about)
        if said.modified_llm_config is not None:
            raise ValueError(
                f"guardrail {self.__name__!r} gave a modified_llm_config: the model that is asked "
                "is the definition's, and is not changed on the way"
            )
        return said


def guardrail(func: Callable[..., Any] | None = None) -> Any:
    """Makes a function of (ctx, guardrail_ctx) a guardrail: @guardrail or @guardrail().

    It is called for `Agent(guardrails=[...])`, at least once for each reply: what it decided is
    kept, and it is not asked again.
    """
    return Guardrail if func is None else Guardrail(func)


class AgentGuardrail:
    """A guardrail where an agent has it."""

    def __init__(self, guardrail: Guardrail, index: int) -> None:
        self.guardrail = guardrail
        self.name = guardrail.callback_name("guardrail", index)

    def definition(self) -> definitions_pb2.Guardrail:
        """As the server stores it."""
        return definitions_pb2.Guardrail(callback=definitions_pb2.Callback(name=self.name))

    async def decide(
        self,
        ctx: AgentContext,
        task: host_pb2.Task,
        config: AgentConfig,
        steps_of: Callable[[str], Awaitable[list[Step]]],
    ) -> history_pb2.CallbackOutcome:
        """Asks the function, and says what it decided."""
        before = task.callback.turn - 1  # the last is the one that is judged
        steps = (await steps_of(task.run_id))[:-1] if before > 0 else []
        reply = parsed(task.callback.result_json)
        about = GuardrailContext(
            workflow_id=task.agent_id,
            session_id=task.session_id or None,
            user_id=task.user_id or None,
            agent_config=config,
            steps=steps,
            content=reply["content"],
            tool_calls=[_call_from(each) for each in reply["tool_calls"]],
        )
        said = await self.guardrail.ask(ctx, about)
        if said.has_failed:
            why = said.error_message or f"guardrail {self.guardrail.__name__!r} failed"
            return history_pb2.CallbackOutcome(feedback=why)
        return _outcome(said, reply)


def _call_from(told: dict[str, str]) -> ToolCall:
    return ToolCall(
        id=told["call_id"],
        call_id=told["call_id"],
        function=ToolCallFunction(name=told["name"], arguments=told["arguments_json"]),
    )


def _outcome(said: GuardrailResult, reply: dict[str, Any]) -> history_pb2.CallbackOutcome:
    changes: dict[str, Any] = {}
    if said.modified_content is not None:
        changes["content"] = said.modified_content
    if said.modified_tool_calls is not None:
        changes["tool_calls"] = [
            {
                "call_id": each.call_id or each.id,
                "name": each.function.name,
                "arguments_json": each.function.arguments,
            }
            for each in said.modified_tool_calls
        ]
    if {**reply, **changes} == reply:
        return history_pb2.CallbackOutcome()
    return history_pb2.CallbackOutcome(payload_json=dumps_shown(changes))


def guardrails_of(agent_id: str, given: Any) -> list[AgentGuardrail | str]:
    """The guardrails of an agent, in order: a function, a sentence, or a list of them. Raises
    TypeError for what is neither, ValueError for an empty sentence."""
    found: list[AgentGuardrail | str] = []
    for index, one in enumerate(given if isinstance(given, (list, tuple)) else [given]):
        if isinstance(one, str):
            if not one.strip():
                raise ValueError(f"guardrails of agent {agent_id!r} hold an empty sentence")
            found.append(one)
        elif callable(one):
            wrapped = one if isinstance(one, Guardrail) else Guardrail(one)
            found.append(AgentGuardrail(wrapped, index))
        elif one is not None:
            raise TypeError(
                f"guardrails of agent {agent_id!r} hold {one!r}: a guardrail is a function of "
                "(ctx, guardrail_ctx) or a sentence"
            )
    return found


def guardrail_definition(each: AgentGuardrail | str) -> definitions_pb2.Guardrail:
    """As the server stores it."""
    return definitions_pb2.Guardrail(prompt=each) if isinstance(each, str) else each.definition()
