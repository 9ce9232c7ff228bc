"""What the owner orders: decisions, rules, a halt. Nobody else is listened to.

approval.list     reply {"approvals": […]}
approval.decide   a `Decision`; reply {"result": …} once what nobody waits for has run
rule.list         reply {"rules": […]}
rule.add          a `Rule` without id, owner and time; reply {"rule": …}
rule.remove       {"id"}; reply {"rule": …}
halt.call         stop everything that runs, and refuse what comes; reply {"ended": n}
halt.lift         go on
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from loom.contracts import GO_ON, HALT, Decision, read
from loom_kernel import Envelope, Host, LoomError

from loom_plugin_tools.broker import Broker, Record
from loom_plugin_tools.policy import Policy
from loom_plugin_tools.rules import Rule

Order = Callable[[Envelope], Awaitable[dict[str, Any]]]


class Orders:
    """Answers requests of those whose names are in *owners*."""

    def __init__(
        self, host: Host, broker: Broker, policy: Policy, record: Record, *, owners: list[str]
    ) -> None:
        self._host = host
        self._broker = broker
        self._policy = policy
        self._record = record
        self._owners = frozenset(owners)

    def start(self) -> None:
        """Listen from now on."""
        orders: dict[str, Order] = {
            "approval.list": self._list_approvals, "approval.decide": self._decide,
            "rule.list": self._list_rules, "rule.add": self._add_rule,
            "rule.remove": self._remove_rule, "halt.call": self._halt, "halt.lift": self._resume,
        }  # fmt: skip
        for topic, order in orders.items():
            self._host.on(topic, handler=self._answering(order), name=f"tools:{topic}")

    def _answering(self, order: Order) -> Callable[[Envelope], Awaitable[None]]:
        async def answer(envelope: Envelope) -> None:
            """In a task of its own: what was approved may run for long."""
            self._host.spawn(self._answer(order, envelope), envelope.topic)

        return answer

    async def _answer(self, order: Order, envelope: Envelope) -> None:
        if envelope.sender not in self._owners:
            self._record("order.refused", envelope.sender, envelope.topic)
            self._host.log.warning("%s may not order %s", envelope.sender, envelope.topic)
            said = f"{envelope.sender!r} may not order this; only {', '.join(sorted(self._owners))}"
            answer: dict[str, Any] = {"error": {"code": "PERMISSION_DENIED", "message": said}}
        else:
            try:
                answer = await order(envelope)
            except LoomError as error:
                answer = {"error": {"code": "INVALID_PARAMS", "message": str(error)}}
        await self._host.reply(envelope, answer)

    # -- approvals ---------------------------------------------------------------------------

    async def _list_approvals(self, envelope: Envelope) -> dict[str, Any]:
        return {"approvals": self._broker.desk.pending()}

    async def _decide(self, envelope: Envelope) -> dict[str, Any]:
        decision = read(envelope, Decision)
        approval = next((a for a in self._broker.desk.pending() if a.id == decision.id), None)
        result = await self._broker.desk.decide(decision, envelope.sender)
        if approval is not None and decision.allow and decision.remember > 0:
            capsule = approval.capsule
            self._make(
                Rule(
                    id="", effect="allow", tool=capsule.tool, principal=capsule.principal,
                    reason=f"remembered from question {approval.id}",
                    expires=self._host.clock.time() + decision.remember,
                ),
                envelope.sender,
            )  # fmt: skip
        return {"result": result}

    # -- rules -------------------------------------------------------------------------------

    async def _list_rules(self, envelope: Envelope) -> dict[str, Any]:
        return {"rules": self._policy.rules.list()}

    async def _add_rule(self, envelope: Envelope) -> dict[str, Any]:
        data = envelope.data if isinstance(envelope.data, dict) else {}
        try:
            rule = msgspec.convert({**data, "id": ""}, Rule)
        except msgspec.ValidationError as error:
            raise LoomError(f"this is no rule: {error}") from error
        return {"rule": self._make(rule, envelope.sender)}

    def _make(self, rule: Rule, owner: str) -> Rule:
        made = msgspec.structs.replace(
            rule, id=secrets.token_hex(3), owner=owner, created=self._host.clock.time()
        )
        self._policy.rules.add(made)
        self._record("rule.added", owner, made.tool, **msgspec.to_builtins(made))
        return made

    async def _remove_rule(self, envelope: Envelope) -> dict[str, Any]:
        data = envelope.data if isinstance(envelope.data, dict) else {}
        rule = self._policy.rules.remove(str(data.get("id", "")))
        self._record("rule.removed", envelope.sender, rule.tool, id=rule.id)
        return {"rule": rule}

    # -- the halt ----------------------------------------------------------------------------

    async def _halt(self, envelope: Envelope) -> dict[str, Any]:
        self._policy.halted_by = envelope.sender
        ended = self._broker.cancel_all(f"{envelope.sender} called a halt")
        self._broker.desk.withdraw_all("a halt was called")
        self._record("halt.called", envelope.sender, "everything", ended=ended)
        await self._host.publish(HALT, {"by": envelope.sender})
        return {"ended": ended}

    async def _resume(self, envelope: Envelope) -> dict[str, Any]:
        self._policy.halted_by = ""
        self._record("halt.lifted", envelope.sender, "everything")
        await self._host.publish(GO_ON, {"by": envelope.sender})
        return {}
