"""Asks the estimators; one that fails or is late counts as none."""

from __future__ import annotations

from loom.contracts import Estimator, RouteRequest
from loom_kernel import ConfigError, Host, LoomError

from loom_plugin_router.settings import Settings

GROUP = "loom.estimators"
LATEST = 0.010
"""Seconds that an estimator may take."""
PATIENCE = 3
"""Times in a row that one may be late or fail; then it is left alone for a while."""
WHILE = 60.0
"""Seconds; a machine that was busy may be so no longer."""


class Estimators:
    """The estimators of the settings, in their order.

    Raises:
        ConfigError: one of them is not installed, or refuses its settings.
    """

    def __init__(self, host: Host, settings: Settings) -> None:
        self._host = host
        self._known = [_made(host, name, settings) for name in settings.estimators]
        self._faults: dict[str, int] = {}
        self._until: dict[str, float] = {}
        self.counts = {"late": 0.0, "failed": 0.0}

    @property
    def left_alone(self) -> list[str]:
        """Those that were late or failed too often."""
        now = self._host.clock.monotonic()
        return [name for name, until in self._until.items() if until > now]

    def find(self, event_type: str) -> Estimator | None:
        """The first that supports *event_type* and works."""
        for estimator in self._known:
            if self._until and estimator.name in self.left_alone:
                continue
            if self._supports(estimator, event_type):
                return estimator
        return None

    def ask(self, estimator: Estimator, request: RouteRequest) -> float:
        """What *estimator* says; 0 if it fails, takes too long, or says what is no share."""
        clock = self._host.clock
        began = clock.monotonic()
        try:
            found = float(estimator.estimate(request))
        except Exception:
            self._host.log.exception("estimator %r failed", estimator.name)
            return self._fault(estimator, "failed")
        if clock.monotonic() - began > LATEST:
            self._host.log.warning("estimator %r took over %g s", estimator.name, LATEST)
            return self._fault(estimator, "late")
        if not 0.0 <= found <= 1.0:
            self._host.log.warning("estimator %r said %r, not 0 to 1", estimator.name, found)
            return self._fault(estimator, "failed")
        if self._faults:
            self._faults.pop(estimator.name, None)
        return found

    def _supports(self, estimator: Estimator, event_type: str) -> bool:
        try:
            return bool(estimator.supports(event_type))
        except Exception:
            self._host.log.exception("estimator %r failed", estimator.name)
            self._fault(estimator, "failed")
            return False

    def _fault(self, estimator: Estimator, kind: str) -> float:
        self.counts[kind] += 1
        faults = self._faults[estimator.name] = self._faults.get(estimator.name, 0) + 1
        if faults >= PATIENCE:
            self._until[estimator.name] = self._host.clock.monotonic() + WHILE
            self._faults.pop(estimator.name)
        return 0.0


def _made(host: Host, name: str, settings: Settings) -> Estimator:
    try:
        made: Estimator = host.driver(GROUP, name)(settings.estimating.get(name, {}))
    except (LoomError, TypeError, ValueError) as error:
        raise ConfigError(f"estimator {name!r} in [plugins.router]: {error}") from error
    return made
