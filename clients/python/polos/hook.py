"""Lifecycle hooks: functions of this process that an agent's run asks on its way, or that are steps
of the body of a workflow or tool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

from ._asked import AskedAbout, AskedFunction, Decision
from ._codec.text import dumps_shown
from ._run_models import parsed
from .context import AgentContext, WorkflowContext
from .errors import StepExecutionError
from .types import AgentConfig, Step
from .v1 import definitions_pb2, history_pb2, host_pb2

PHASES = {
    "on_start": definitions_pb2.CALLBACK_PHASE_RUN_START,
    "on_end": definitions_pb2.CALLBACK_PHASE_RUN_END,
    "on_agent_step_start": definitions_pb2.CALLBACK_PHASE_TURN_START,
    "on_agent_step_end": definitions_pb2.CALLBACK_PHASE_TURN_END,
    "on_tool_start": definitions_pb2.CALLBACK_PHASE_TOOL_START,
    "on_tool_end": definitions_pb2.CALLBACK_PHASE_TOOL_END,
}


class HookAction(Enum):
    """What a hook wants."""

    CONTINUE = "continue"
    FAIL = "fail"


class HookContext(AskedAbout):
    """What a hook may look at.

    Attributes:
        workflow_id: the agent's id.
        session_id, user_id: as given at the run's start; None when not given.
        agent_config: the agent; None in on_start and on_end.
        steps: the turns so far; of a long run the newest.
        current_tool: on_tool_start, on_tool_end: the tool's name.
        current_payload: on_tool_start, on_tool_end: the arguments; on_start, on_end:
            {"input": ...}, and the input as "prompt" where it is text; on_agent_step_start,
            on_agent_step_end: {"step": ...}, from 1. Each as the hooks before left it.
        current_output: on_tool_end: the tool's result, or "Error: ..."; on_agent_step_end: the
            turn, as a dict; on_end: the answer. Each as the hooks before left it.
    """

    current_tool: str | None = None
    current_payload: Any | None = None
    current_output: Any | None = None


class HookResult(Decision):
    """What a hook decides: HookResult.continue_with() or HookResult.fail("why")."""

    action: HookAction = HookAction.CONTINUE
    modified_payload: dict[str, Any] | None = None
    modified_output: Any | None = None
    error_message: str | None = None

    @classmethod
    def continue_with(cls, **modifications: Any) -> HookResult:
        """Goes on. `modified_payload` (on_start, on_tool_start): a dict whose members replace those
        of current_payload; `modified_output` (on_tool_end, on_end): what takes the place of
        current_output."""
        return cls(action=HookAction.CONTINUE, **modifications)

    @classmethod
    def fail(cls, message: str) -> HookResult:
        """Fails the run with this sentence; in on_agent_step_start, ends its loop."""
        return cls(action=HookAction.FAIL, error_message=message)


class Hook(AskedFunction[HookResult]):
    """A function of (ctx, hook_ctx) that gives a HookResult; plain or async."""

    word = "hook"
    gives = HookResult

    async def ask(self, ctx: WorkflowContext, about: AskedAbout) -> HookResult:
        """What the function decides; TypeError when that is none."""
        said = await super().ask(ctx, about)
        if said.has_failed and not said.error_message:
            return HookResult.fail(f"hook {self.__name__!r} failed")
        return said


def hook(func: Callable[..., Any] | None = None) -> Any:
    """Makes a function of (ctx, hook_ctx) a hook: @hook or @hook().

    It is called for `Agent(on_start=..., ...)`, at least once for each time that a run asks it:
    what it decided is kept, and it is not asked again.
    """
    return Hook if func is None else Hook(func)


class AgentHook:
    """A hook where an agent has it."""

    def __init__(self, word: str, hook: Hook, index: int) -> None:
        self.word = word
        self.hook = hook
        self.name = hook.callback_name(word, index)

    def definition(self) -> definitions_pb2.Hook:
        """As the server stores it."""
        callback = definitions_pb2.Callback(name=self.name)
        return definitions_pb2.Hook(phase=PHASES[self.word], callback=callback)

    async def decide(
        self,
        ctx: AgentContext,
        task: host_pb2.Task,
        config: AgentConfig,
        steps_of: Callable[[str], Awaitable[list[Step]]],
    ) -> history_pb2.CallbackOutcome:
        """Asks the function, and says what it decided."""
        steps = await steps_of(task.run_id) if task.callback.turn else []
        about = self._context(task, config, steps)
        said = await self.hook.ask(ctx, about)
        if said.has_failed:
            return history_pb2.CallbackOutcome(failure=said.error_message)
        return self._outcome(said, about)

    def _context(
        self, task: host_pb2.Task, config: AgentConfig, steps: list[Step]
    ) -> HookContext:
        asked = task.callback
        about = HookContext(
            workflow_id=task.agent_id,
            session_id=task.session_id or None,
            user_id=task.user_id or None,
            agent_config=None if self.word in ("on_start", "on_end") else config,
            steps=steps,
            current_tool=asked.tool_call.name or None,
        )
        given = parsed(task.input_json)
        if asked.HasField("tool_call"):
            about.current_payload = given
        elif self.word in ("on_start", "on_end"):
            about.current_payload = {"input": given}
            if isinstance(given, str):
                about.current_payload["prompt"] = given
        else:
            is_start = self.word == "on_agent_step_start"
            about.current_payload = {"step": asked.turn + is_start}
        if asked.HasField("tool_result"):
            failed = asked.tool_result.HasField("error")
            error = f"Error: {asked.tool_result.error.message}"
            about.current_output = error if failed else parsed(asked.tool_result.result_json)
        elif self.word == "on_agent_step_end" and steps:
            about.current_output = steps[-1].model_dump(mode="json")
        elif asked.result_json:
            about.current_output = parsed(asked.result_json)
        return about

    def _outcome(self, said: HookResult, about: HookContext) -> history_pb2.CallbackOutcome:
        payload, output = said.modified_payload, said.modified_output
        takes_payload = self.word in ("on_start", "on_tool_start")
        takes_output = self.word in ("on_end", "on_tool_end")
        if (payload is not None and not takes_payload) or (output is not None and not takes_output):
            what = "payload" if payload is not None and not takes_payload else "output"
            raise ValueError(
                f"hook {self.hook.__name__!r} gave a modified_{what}, which {self.word} has not"
            )
        if output is not None:
            return history_pb2.CallbackOutcome(payload_json=dumps_shown(output))
        if payload is None:
            return history_pb2.CallbackOutcome()
        given = about.current_payload if isinstance(about.current_payload, dict) else {}
        value: Any = {**given, **payload}
        if self.word == "on_start":
            given = given["input"]
            value = payload["prompt"] if payload.keys() == {"prompt"} else value["input"]
        if value == given:
            return history_pb2.CallbackOutcome()
        return history_pb2.CallbackOutcome(payload_json=dumps_shown(value))


class BodyHooks:
    """The hooks of a workflow or tool: each is a step of its body, "on_start.NAME.INDEX"."""

    def __init__(self, kind: str, id: str, on_start: Any, on_end: Any) -> None:
        self.kind = kind
        self.id = id
        self.on_start = _each(f"{kind} {id!r}", "on_start", on_start)
        self.on_end = _each(f"{kind} {id!r}", "on_end", on_end)

    def __bool__(self) -> bool:
        return bool(self.on_start or self.on_end)

    async def start(self, ctx: WorkflowContext, payload: Any) -> tuple[Any, bool]:
        """The payload, as JSON gives it, as its hooks leave it, and whether they changed it. Raises
        StepExecutionError for one that fails."""
        is_changed = False
        for index, each in enumerate(self.on_start):
            about = self._about(ctx, payload)
            said = await self._ask(ctx, "on_start", index, each, about)
            if said.modified_payload is not None:
                before = payload if isinstance(payload, dict) else {}
                payload = {**before, **said.modified_payload}
                is_changed = True
        return payload, is_changed

    async def end(self, ctx: WorkflowContext, payload: Any, output: Any) -> Any:
        """The result as its hooks leave it. Raises as start()."""
        for index, each in enumerate(self.on_end):
            about = self._about(ctx, payload)
            about.current_output = output
            said = await self._ask(ctx, "on_end", index, each, about)
            if said.modified_output is not None:
                output = said.modified_output
        return output

    def _about(self, ctx: WorkflowContext, payload: Any) -> HookContext:
        return HookContext(
            workflow_id=self.id,
            session_id=ctx.session_id or None,
            user_id=ctx.user_id or None,
            current_tool=self.id if self.kind == "tool" else None,
            current_payload=payload,
        )

    async def _ask(
        self, ctx: WorkflowContext, word: str, index: int, hook: Hook, about: HookContext
    ) -> HookResult:
        async def ask() -> dict[str, Any]:
            return (await hook.ask(ctx, about)).to_dict()

        said = HookResult.from_dict(await ctx.step.run(f"{word}.{hook.__name__}.{index}", ask))
        if said.has_failed:
            raise StepExecutionError(said.error_message, error_type="HOOK_FAILED")
        return said


def _each(whose: str, word: str, given: Any) -> list[Hook]:
    """A function or a list of them as hooks; TypeError for what is none."""
    found = []
    for one in given if isinstance(given, (list, tuple)) else [given]:
        if one is not None:
            if not callable(one):
                raise TypeError(
                    f"{word} of {whose} holds {one!r}: it takes functions of (ctx, hook_ctx)"
                )
            found.append(one if isinstance(one, Hook) else Hook(one))
    return found


def hooks_of(agent_id: str, **given: Any) -> list[AgentHook]:
    """The hooks of an agent, in order, by the words of PHASES: each a function or a list of them.
    Raises TypeError for what is no function."""
    return [
        AgentHook(word, each, index)
        for word, functions in given.items()
        for index, each in enumerate(_each(f"agent {agent_id!r}", word, functions))
    ]
