"""What happens, as typed events, and what becomes of them: lines in the log."""

from gateway.telemetry.events import Event
from gateway.telemetry.log import Log, session_id

__all__ = ["Event", "Log", "session_id"]
