"""When may the next call go? As fast as all senders together may call, and not while the destination wants to rest.

Room is taken for several calls at once. A destination that asks to be left alone is, by every sender; a short wait is
slept through, a longer one ends the connection's turn in this run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tailrace.delivery.pace import LONGEST_ASKED, Budget
from tailrace.destinations.base import Exchange, HttpReply, Outcome, Pause, Result, Steps
from tailrace.journal import Journal

PAUSED = "paused"
"""The code of what waits because its destination asked for it, or because its turn comes late."""
LONGEST_SLEEP = 60.0
"""Seconds that a sender waits for its turn; what takes longer waits in the journal."""
WINDOW = 0.25
"""Seconds for which room is taken at once, and for which a turn that came stays good."""
_MOST_AT_ONCE = 50


@dataclass
class Turns:
    """One worker's turns at one connection. `pauses` are known to all workers of this process, by connection and host.

    `moment` is the run's clock with fractions of seconds.
    """

    journal: Journal
    name: str
    per_second: float | None
    moment: Callable[[], datetime]
    sleep: Callable[[float], None]
    budget: Budget
    pauses: dict[str, datetime]
    _hosts: set[str] = field(default_factory=set)
    _turns: deque[datetime] = field(default_factory=deque)

    def come(self, before_sleep: Callable[[], None] | None = None) -> Result | None:
        """Wait until a call may go, and return None; or why it may not in this run. Asked before each claim.

        What other processes were asked for is read from the journal here. `before_sleep` is done before any sleep.
        """
        self._look(self.name)
        return self._wait("", before_sleep)

    def take(self, host: str) -> Result | None:
        """Wait until a call to the host may go and take the turn; or return why it may not go in this run."""
        name = self._name(host)
        if host and name not in self._hosts:
            self._hosts.add(name)
            self._look(name)
        why_not = self._wait(host)
        if why_not is None and self._turns:
            self._turns.popleft()
        return why_not

    def spaced(self, exchange: Exchange) -> Exchange:
        """Return the exchange with a turn taken for each of its calls but the first, whose turn was taken before it.

        What was begun is brought to its end: it waits for its turns however late they come.
        """

        def steps() -> Steps:
            with closing(exchange.steps()) as inner:
                answer, is_first = None, True
                while True:
                    try:
                        step = inner.send(answer)
                    except StopIteration as end:
                        final: HttpReply = end.value
                        return final
                    if not isinstance(step, Pause):
                        if not is_first:
                            self._go_on()
                        is_first = False
                    answer = yield step

        return Exchange(steps)

    def heard(self, host: str, result: Result) -> None:
        """Let nobody call before the time that an answer asked for, when it spoke for the destination or for a host."""
        if result.retry_after and (result.is_systemic or host):
            until = self.moment() + min(timedelta(seconds=result.retry_after), LONGEST_ASKED)
            name = self._name(host)
            if until > self.pauses.get(name, until - timedelta(seconds=1)):
                self.pauses[name] = until
                self.journal.pause(name, until)

    def _name(self, host: str) -> str:
        return f"{self.name}/{host}" if host else self.name

    def _look(self, name: str) -> None:
        until = self.journal.paused_until(name, self.moment())
        if until is not None:
            self.pauses[name] = max(until, self.pauses.get(name, until))

    def _wait(self, host: str, before_sleep: Callable[[], None] | None = None) -> Result | None:
        while True:
            at = self.moment()
            times = [self.pauses[name] for name in {self.name, self._name(host)} if name in self.pauses]
            seconds = (max([*times, self._turn(at)]) - at).total_seconds()
            if seconds <= 0:
                return None
            if seconds > LONGEST_SLEEP or seconds > self.budget.left(at):
                return Result(Outcome.BLOCKED, PAUSED, retry_after=seconds, is_systemic=True)
            if before_sleep is not None:
                before_sleep()
            self.sleep(seconds)

    def _go_on(self) -> None:
        at = self.moment()
        seconds = (self._turn(at) - at).total_seconds()
        if seconds > 0:
            self.sleep(seconds)
        if self._turns:
            self._turns.popleft()

    def _turn(self, at: datetime) -> datetime:
        """Return when this worker's next turn is; takes room for more turns when none is left."""
        if self.per_second is None:
            return at
        while self._turns and self._turns[0] < at - timedelta(seconds=WINDOW):
            self._turns.popleft()
        if not self._turns:
            n = max(1, min(_MOST_AT_ONCE, int(self.per_second * WINDOW)))
            apart = timedelta(seconds=1 / self.per_second)
            begins = self.journal.reserve(self.name, at, apart * n)
            self._turns.extend(begins + apart * place for place in range(n))
        return self._turns[0]
