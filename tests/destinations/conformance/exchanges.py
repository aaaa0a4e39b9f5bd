"""The call that acts, of a destination that has to ask for something first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tailrace.destinations.base import Exchange, HttpReply

GIVEN = HttpReply(200, {}, b'{"access_token": "t", "instance_url": "https://instance.test"}')


def acting(module: Any, answer: HttpReply = GIVEN) -> Any:
    """Return the module with its exchanges carried out as far as the first call that acts; the others get `answer`."""

    def build(settings: Any, secrets: Any, batch: Any) -> Any:
        request = module.build_request(settings, secrets, batch)
        if not isinstance(request, Exchange):
            return request
        steps = request.steps()
        step = steps.send(None)
        while not step.acts:
            step = steps.send(answer)
        return step

    return SimpleNamespace(Settings=module.Settings, CAPABILITIES=module.CAPABILITIES, build_request=build)
