"""As `polos.memory.types` in the documentation; Agent(compaction=...) is refused until it works."""

from __future__ import annotations

from pydantic import BaseModel


class CompactionConfig(BaseModel):
    """How much of a conversation is kept as it is, and how much in a summary."""

    max_conversation_tokens: int = 80_000
    max_summary_tokens: int = 20_000
    min_recent_messages: int = 2
    compaction_model: str | None = None
