"""How a run is to be started: its options, and an agent with what it is to be run with."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import Any, Generic, TypedDict

from typing_extensions import TypeVar

from .._checks import check_option_names, checked_text, refuse
from .._codec.text import dumps_argument
from .._codec.times import length
from .._startable import StartableAgent
from ..errors import InvalidArgumentError
from ..queue import name_of
from ..types import AgentResult
from ..v1 import messages_pb2, start_pb2
from .parts import message_part
from .state import state_given

PRIORITY_BITS = 31
RETRIES_MAX = 100
R = TypeVar("R", default=Any)  # an agent's answer
TIMEOUT_SECONDS_MAX = 366 * 24 * 3600


@dataclass(frozen=True)
class StartOptions:
    """What every start takes beside its input, as the caller gave it; None: the server's default.

    Attributes:
        session_id, user_id, conversation_id: kept with the run, and seen by its code.
        timeout: seconds the run may take, waits not counted.
        initial_state: what `ctx.state` begins with: a model or a dict.
        max_retries: how often a workflow that raises is tried again.
        queue: the queue it waits in: its name, itself, or a dict of its attributes.
        concurrency_key: whose turn it is within the queue.
        priority: within its key, higher ones go first.
        idempotency_key: for 24 hours the same key finds the run that was started first.
    """

    session_id: Any = None
    user_id: Any = None
    conversation_id: Any = None
    timeout: float | None = None
    initial_state: Any = None
    max_retries: int | None = None
    queue: Any = None
    concurrency_key: Any = None
    priority: int | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        """Raises InvalidArgumentError for what is none."""
        _check_timeout(self.timeout)
        _check_retries(self.max_retries)
        _check_priority(self.priority)
        if self.idempotency_key == "":
            raise InvalidArgumentError(
                "idempotency_key is empty: it is 1 to 200 bytes, or None", field="idempotency_key"
            )

    def message(self) -> start_pb2.StartOptions:
        """As the API takes them."""
        retries, state = self.max_retries, state_given(self.initial_state)
        return start_pb2.StartOptions(
            run_timeout=length(self.timeout),
            session_id=checked_text(self.session_id, "session_id"),
            user_id=checked_text(self.user_id, "user_id"),
            conversation_id=checked_text(self.conversation_id, "conversation_id"),
            initial_state_json=state.json,
            initial_state_type=state.type,
            retry=None if retries is None else start_pb2.RetryPolicy(max_retries=retries),
            queue=name_of(self.queue),
            concurrency_key=checked_text(self.concurrency_key, "concurrency_key"),
            priority=self.priority or 0,
            idempotency_key=checked_text(self.idempotency_key, "idempotency_key"),
        )


def _check_timeout(timeout: Any) -> None:
    if timeout is None or (
        isinstance(timeout, (int, float)) and 0 < timeout <= TIMEOUT_SECONDS_MAX
    ):
        return
    raise InvalidArgumentError(
        f"timeout is {timeout!r}: it is more than 0 and at most {TIMEOUT_SECONDS_MAX:,} seconds "
        "(366 days), or None",
        field="timeout",
    )


def _check_retries(retries: Any) -> None:
    if retries is not None and not (isinstance(retries, int) and 0 <= retries <= RETRIES_MAX):
        raise InvalidArgumentError(
            f"max_retries is {retries!r}: it is 0 to {RETRIES_MAX}, or None", field="max_retries"
        )


def _check_priority(priority: Any) -> None:
    most = 2**PRIORITY_BITS
    if priority is not None and not (isinstance(priority, int) and -most <= priority < most):
        raise InvalidArgumentError(
            f"priority is {priority!r}: it is a number of 32 bits", field="priority"
        )


class AgentRunConfig(Generic[R]):
    """An agent with what it is to be run with; made by agent.with_input()."""

    def __init__(
        self,
        agent: StartableAgent,
        input: str | list[dict[str, Any]],
        session_id: Any = None,
        user_id: str | None = None,
        streaming: bool = False,
        initial_state: Any = None,
        run_timeout_seconds: float | None = None,
        conversation_id: Any = None,
        queue: Any = None,
        concurrency_key: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        refuse("agent.with_input", initial_state=initial_state)
        check_option_names(kwargs, _OPTIONS)
        for name, value in (("session_id", session_id), ("conversation_id", conversation_id)):
            if value is not None:
                _warn_of_memory(agent.id, name)
        self.agent = agent
        self.input = input
        self.session_id = session_id
        self.user_id = user_id
        self.conversation_id = conversation_id
        self.run_timeout_seconds = run_timeout_seconds
        self.streaming = streaming  # every run can be followed; nothing depends on it
        self.options = StartOptions(
            session_id=session_id,
            user_id=user_id,
            conversation_id=conversation_id,
            timeout=run_timeout_seconds,
            queue=queue,
            concurrency_key=concurrency_key,
            priority=priority,
            idempotency_key=idempotency_key,
        )
        self.kwargs = kwargs


def _warn_of_memory(agent_id: str, name: str) -> None:
    warnings.warn(
        f"agent {agent_id!r} is given a {name}, which is kept with the run but brings no memory: "
        "this release sends a model what `input` holds and nothing of earlier runs. Put earlier "
        "messages into `input`",
        UserWarning,
        stacklevel=5,
    )


_OPTIONS = frozenset(inspect.signature(AgentRunConfig).parameters) - {"kwargs"} | {
    "timeout", "client",
}  # fmt: skip


def agent_input(input: Any) -> AgentInput:
    """An agent's input as the API takes it, or InvalidArgumentError.

    A dict with `input` stands for that, and an AgentResult for its answer, as programs pass them.
    """
    if isinstance(input, dict) and "input" in input:
        input = input["input"]
    if isinstance(input, AgentResult):
        answer = input.result
        input = answer if isinstance(answer, str) else dumps_argument(answer, "input", "input")
    if isinstance(input, list) and all(isinstance(message, dict) for message in input) and input:
        return {"messages": [_message(at, message) for at, message in enumerate(input)]}
    if not isinstance(input, str):
        raise InvalidArgumentError(
            "input must be a text, or a list of messages with role and content, "
            f"not {type(input).__name__}",
            field="input",
        )
    return {"input": checked_text(input, "input")}


def _message(at: int, given: dict[str, Any]) -> messages_pb2.Message:
    role, content = given.get("role"), given.get("content")
    if role not in _ROLES:
        raise InvalidArgumentError(
            f'input[{at}].role must be "system", "user" or "assistant", not {role!r}',
            field="input",
        )
    given_parts = [content] if isinstance(content, str) else content
    if not isinstance(given_parts, list) or not given_parts:
        raise InvalidArgumentError(
            f"input[{at}].content must be a text, or a list of parts", field="input"
        )
    parts = [message_part(part, f"input[{at}].content[{i}]") for i, part in enumerate(given_parts)]
    return messages_pb2.Message(role=_ROLES[role], parts=parts)


_ROLES = {
    "system": messages_pb2.Message.ROLE_SYSTEM,
    "user": messages_pb2.Message.ROLE_USER,
    "assistant": messages_pb2.Message.ROLE_ASSISTANT,
}


class AgentInput(TypedDict, total=False):
    """One of the two."""

    input: str
    messages: list[messages_pb2.Message]


def options_json(provider_kwargs: dict[str, Any]) -> str:
    """A run's provider options as the API takes them, or InvalidArgumentError."""
    if not provider_kwargs:
        return ""
    return dumps_argument(provider_kwargs, "provider_kwargs", "provider_kwargs")
