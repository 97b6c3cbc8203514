"""As `polos.core.workflow` in the documentation."""

from ..errors import StepExecutionError, WorkflowTimeoutError
from ..workflow import Workflow, get_all_workflows, get_workflow, workflow

__all__ = [
    "StepExecutionError",
    "Workflow",
    "WorkflowTimeoutError",
    "get_all_workflows",
    "get_workflow",
    "workflow",
]
