"""Documented names of the package that this release does not have."""

MISSING = frozenset(
    """
    AgentStreamHandle AskUserField AskUserFieldOption AskUserInput Channel
    ChannelContext ChannelOutputMode DockerConfig DockerEnvironment DockerEnvironmentConfig
    E2BEnvironmentConfig EnvironmentInfo ExecOptions ExecResult ExecToolConfig ExecutedToolConfig
    ExecutionEnvironment GlobOptions GrepMatch GrepOptions
    HasTextConfig LocalEnvironment LocalEnvironmentConfig
    ManagedSandbox SandboxManager SandboxToolsConfig SlackChannel SlackChannelConfig
    StopConditionContext SuspendNotification ToolApproval WebSearchFunction WebSearchOptions
    WebSearchResult WebSearchResultItem WebSearchToolConfig Worker create_ask_user_tool
    create_web_search_tool executed_tool has_text sandbox_tools stop_condition
    """.split()
)
INSTEAD = {
    "Worker": "await Polos().serve() is a long-lived host",
    "AgentStreamHandle": "agent.stream() gives a StreamResult",
}
