"""What all pages stand on."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.enrolment import Enrolment
from gateway.ports import Seal
from gateway.telemetry.events import Event
from gateway.threads import Threads
from gateway.web.forms import Forms
from gateway.web.place import Place
from gateway.web.render import Renderer


@dataclass(frozen=True, slots=True)
class Desk:
    enrolment: Enrolment
    place: Place
    renderer: Renderer
    forms: Forms
    seal: Seal
    threads: Threads  # for all of `enrolment`, which blocks
    emit: Callable[[Event], None]
