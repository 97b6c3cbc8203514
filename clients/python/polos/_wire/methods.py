"""The methods of the API, found in the descriptors of its services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

try:
    from ..v1 import (
        agents_pb2,
        host_pb2,
        queues_pb2,
        runs_pb2,
        schedules_pb2,
        suspend_pb2,
        tools_pb2,
        topics_pb2,
        workflows_pb2,
    )
except ImportError as error:  # a checkout where the protos were not compiled yet
    raise ImportError(
        "polos.v1 is missing: run clients/python/generate.py (./run does), "
        "which needs the packages of requirements-dev.txt"
    ) from error

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Method(Generic[Request, Response]):
    """One method of the API: its path and its two message types."""

    def __init__(
        self, request: type[Request], response: type[Response], services: Any = None
    ) -> None:
        file = request.DESCRIPTOR.file if services is None else services.DESCRIPTOR
        self.path = _path(file, request.DESCRIPTOR, response.DESCRIPTOR)
        self.encode: Callable[[Request], bytes] = request.SerializeToString
        self.decode: Callable[[bytes], Response] = response.FromString


def _path(file: Any, request: Any, response: Any) -> str:
    """Of the method of a file that takes one and answers with the other."""
    for service in file.services_by_name.values():
        for method in service.methods:
            if (method.input_type, method.output_type) == (request, response):
                return f"/{service.full_name}/{method.name}"
    raise LookupError(f"no service takes {request.name} and answers {response.name}")


REGISTER = Method(agents_pb2.AgentServiceRegisterRequest, agents_pb2.AgentServiceRegisterResponse)
AGENT_START = Method(agents_pb2.AgentServiceStartRequest, agents_pb2.AgentServiceStartResponse)
AGENT_LIST = Method(agents_pb2.AgentServiceListRequest, agents_pb2.AgentServiceListResponse)
AGENT_DELETE = Method(agents_pb2.AgentServiceDeleteRequest, agents_pb2.AgentServiceDeleteResponse)
WORKFLOW_LIST = Method(
    workflows_pb2.WorkflowServiceListRequest, workflows_pb2.WorkflowServiceListResponse
)
WORKFLOW_DELETE = Method(
    workflows_pb2.WorkflowServiceDeleteRequest, workflows_pb2.WorkflowServiceDeleteResponse
)
TOOL_LIST = Method(tools_pb2.ToolServiceListRequest, tools_pb2.ToolServiceListResponse)
HOST_LIST = Method(tools_pb2.ToolServiceListHostsRequest, tools_pb2.ToolServiceListHostsResponse)
HOST_DRAIN = Method(tools_pb2.ToolServiceDrainHostRequest, tools_pb2.ToolServiceDrainHostResponse)
TOOL_DELETE = Method(tools_pb2.ToolServiceDeleteRequest, tools_pb2.ToolServiceDeleteResponse)
WORKFLOW_START = Method(
    workflows_pb2.WorkflowServiceStartRequest, workflows_pb2.WorkflowServiceStartResponse
)
TOOL_START = Method(tools_pb2.ToolServiceStartRequest, tools_pb2.ToolServiceStartResponse)
RUN_GET = Method(runs_pb2.RunServiceGetRequest, runs_pb2.RunServiceGetResponse)
RUN_WAIT = Method(runs_pb2.RunServiceWaitRequest, runs_pb2.RunServiceWaitResponse)
RUN_LIST = Method(runs_pb2.RunServiceListRequest, runs_pb2.RunServiceListResponse)
RUN_HISTORY = Method(runs_pb2.RunServiceHistoryRequest, runs_pb2.RunServiceHistoryResponse)
RUN_FORK = Method(runs_pb2.RunServiceForkRequest, runs_pb2.RunServiceForkResponse)
RUN_RETRY = Method(runs_pb2.RunServiceRetryRequest, runs_pb2.RunServiceRetryResponse)
RUN_CANCEL = Method(runs_pb2.RunServiceCancelRequest, runs_pb2.RunServiceCancelResponse)
RUN_DELETE = Method(runs_pb2.RunServiceDeleteRequest, runs_pb2.RunServiceDeleteResponse)
RUN_SEND = Method(runs_pb2.RunServiceSendRequest, runs_pb2.RunServiceSendResponse)
RUN_WATCH = Method(runs_pb2.RunServiceWatchRequest, runs_pb2.RunServiceWatchResponse)
PUBLISH = Method(topics_pb2.TopicServicePublishRequest, topics_pb2.TopicServicePublishResponse)
SUBSCRIBE = Method(
    topics_pb2.TopicServiceSubscribeRequest, topics_pb2.TopicServiceSubscribeResponse
)
TOPIC_LIST = Method(topics_pb2.TopicServiceListRequest, topics_pb2.TopicServiceListResponse)
TOPIC_DELETE = Method(topics_pb2.TopicServiceDeleteRequest, topics_pb2.TopicServiceDeleteResponse)
QUEUE_PUT = Method(queues_pb2.QueueServicePutRequest, queues_pb2.QueueServicePutResponse)
QUEUE_GET = Method(queues_pb2.QueueServiceGetRequest, queues_pb2.QueueServiceGetResponse)
QUEUE_DELETE = Method(queues_pb2.QueueServiceDeleteRequest, queues_pb2.QueueServiceDeleteResponse)
QUEUE_LIST = Method(queues_pb2.QueueServiceListRequest, queues_pb2.QueueServiceListResponse)
SCHEDULE_PUT = Method(
    schedules_pb2.ScheduleServicePutRequest, schedules_pb2.ScheduleServicePutResponse
)
SCHEDULE_GET = Method(
    schedules_pb2.ScheduleServiceGetRequest, schedules_pb2.ScheduleServiceGetResponse
)
SCHEDULE_LIST = Method(
    schedules_pb2.ScheduleServiceListRequest, schedules_pb2.ScheduleServiceListResponse
)
SCHEDULE_DELETE = Method(
    schedules_pb2.ScheduleServiceDeleteRequest, schedules_pb2.ScheduleServiceDeleteResponse
)
SCHEDULE_PAUSE = Method(
    schedules_pb2.ScheduleServicePauseRequest, schedules_pb2.ScheduleServicePauseResponse
)
SCHEDULE_UNPAUSE = Method(
    schedules_pb2.ScheduleServiceUnpauseRequest, schedules_pb2.ScheduleServiceUnpauseResponse
)
SCHEDULE_TRIGGER = Method(
    schedules_pb2.ScheduleServiceTriggerRequest, schedules_pb2.ScheduleServiceTriggerResponse
)
SUSPENSION_LIST = Method(
    suspend_pb2.SuspendServiceListRequest, suspend_pb2.SuspendServiceListResponse
)
SUSPENSION_GET = Method(
    suspend_pb2.SuspendServiceGetRequest, suspend_pb2.SuspendServiceGetResponse
)
RESUME = Method(suspend_pb2.SuspendServiceResumeRequest, suspend_pb2.SuspendServiceResumeResponse)
HEARTBEAT = Method(
    tools_pb2.ToolServiceHeartbeatRequest, tools_pb2.ToolServiceHeartbeatResponse
)
TOOL_CONNECT = Method(
    host_pb2.ToolServiceConnectRequest, host_pb2.ToolServiceConnectResponse, tools_pb2
)
