"""What can go wrong, as exceptions.

Every error of the server arrives as one of these, with the server's stable `reason`, the `field`
it blames (a path as in the protos, or empty) and a sentence that says what to do.
"""

from __future__ import annotations

import asyncio


class PolosError(Exception):
    """Base of everything this package raises on its own.

    Attributes:
        message: a sentence for people.
        reason: a stable word in capitals for programs ("RUN_NOT_FOUND"); empty when there is none.
        field: the field of the request to blame; empty when there is none.
    """

    def __init__(self, message: str, *, reason: str = "", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.field = field

    def __str__(self) -> str:
        note = ", ".join(
            part
            for part in (self.reason, f"field {self.field}" if self.field else "")
            if part and part not in self.message
        )
        return f"{self.message} ({note})" if note else self.message


class UnsupportedFeatureError(PolosError, NotImplementedError):
    """A documented feature this release does not have; nothing was started."""

    def __init__(self, what: str, instead: str = "") -> None:
        sentence = f"{what} is not supported by this release"
        super().__init__(f"{sentence}; {instead}" if instead else sentence)
        self.what = what


class MissingNameError(UnsupportedFeatureError, AttributeError):
    """A documented name this release does not have; hasattr() is False, an import fails."""


class UnavailableError(PolosError, ConnectionError):
    """The server cannot be reached, or went away and did not come back in time."""


class InvalidArgumentError(PolosError, ValueError):
    """The server refused a request; `field` names what is wrong with it."""


class NotFoundError(PolosError, LookupError):
    """There is no such run, agent or workflow."""


class ConflictError(PolosError):
    """It exists already with other contents, or its state does not allow the request."""


class PermissionDeniedError(PolosError):
    """The API key is missing, wrong, or may not do this."""


class ResourceExhaustedError(PolosError):
    """A limit of the server: its disk, its queues, the size of a message.

    Attributes:
        retry_after: seconds after which the server expects to have room; None: no hint.
    """

    def __init__(
        self, message: str, *, reason: str = "", field: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, reason=reason, field=field)
        self.retry_after = retry_after


class ServerError(PolosError):
    """The server failed in a way that is its own fault, or does not know the method."""


class RunFailedError(PolosError, RuntimeError):
    """A run ended with an error.

    Attributes:
        run_id: the run.
        reason: the server's word for why ("TOOL_FAILED", "MODEL_FAILED", ...).
    """

    def __init__(self, run_id: str, message: str, *, reason: str = "") -> None:
        super().__init__(message, reason=reason)
        self.run_id = run_id


class RunCancelledError(RunFailedError):
    """A run was cancelled before it ended."""


class WorkflowTimeoutError(PolosError, TimeoutError):
    """A run did not end in the time it was given.

    Attributes:
        execution_id: the run.
        timeout_seconds: what it was given.
    """

    def __init__(
        self,
        execution_id: str | None = None,
        timeout_seconds: float | None = None,
        message: str = "",
    ) -> None:
        given = "" if timeout_seconds is None else f" within {timeout_seconds:g} s"
        waits = f"; {message}" if message else ""
        sentence = f"run {execution_id} did not end{given}{waits}"
        super().__init__(sentence, reason="DEADLINE_EXCEEDED")
        self.execution_id = execution_id
        self.timeout_seconds = timeout_seconds


class OutputError(PolosError, ValueError):
    """A result does not fit the schema or type it was asked for, or none that came did.

    Attributes:
        run_id: the run it came from; empty when there is none.
        text: the raw text, for a look at it.
    """

    def __init__(self, message: str, *, run_id: str = "", text: str = "") -> None:
        super().__init__(message, reason="OUTPUT_INVALID")
        self.run_id = run_id
        self.text = text


class StepExecutionError(PolosError):
    """A durable step failed for good; a replay raises it again without running the step.

    Attributes:
        reason: the message.
        error_type: the class name of what the step raised.
    """

    def __init__(self, reason: str | None = None, *, error_type: str = "") -> None:
        super().__init__(reason or "step failed")
        self.reason = self.message
        self.error_type = error_type


class NonRetryableError(PolosError):
    """Raised by a step's function or a workflow: what failed would fail again, do not retry it."""


class NonDeterminismError(PolosError):
    """Code that runs again asks for other steps than its run's history has."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="NON_DETERMINISM")

    def __str__(self) -> str:
        return self.message  # it has several lines


class ExecutionCancelledError(asyncio.CancelledError):
    """The run is being cancelled, or the server does not want this task's answer any more.

    As every cancellation in asyncio it is no Exception: `except Exception` does not hold it up.
    """

    def __init__(self, message: str = "Execution cancelled") -> None:
        super().__init__(message)
        self.message = message
        self.reason = "CANCELLED"
