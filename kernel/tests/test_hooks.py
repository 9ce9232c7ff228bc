"""Hooks: settings, specs of plugins' own, attaching in order, services, drivers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loom_kernel import ConfigError, LoomError, ServiceMissing, hookimpl, hookspec
from loom_kernel.testing import EventRecorder, check_plugin_contract, running

pytestmark = [pytest.mark.anyio, pytest.mark.feature("PLG-01")]

LIFE = """
class Settings(msgspec.Struct, kw_only=True):
    speed: int
    tags: list[str] = []

@hookimpl
def loom_settings():
    return Settings

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    async def handle(event):
        await host.reply(event, [host.name, host.settings.speed, host.settings.tags])

    host.on("probe.asked", handler=handle)
    host.health(lambda: Health(False, "tired", {"speed": float(host.settings.speed)}))
    await host.publish("probe.attached")
    yield
    await host.publish("probe.detached")
"""
SETTINGS = """
[settings.speed]
type = "integer"
default = 3
min = 1
help = "how fast"
[settings.tags]
type = "array"
default = []
help = "which tags"
"""


OTHER_SETTINGS = """
class S(msgspec.Struct):
    y: int = 1

@hookimpl
def loom_settings():
    return S
"""


async def test_a_plugin_lives_handles_tells_its_health_and_ends(install: Any) -> None:
    install("probe", LIFE, SETTINGS)
    config = {"plugins": {"probe": {"speed": 7}}}
    async with running("probe", config=config) as runtime:
        host = runtime.host("outside")
        events = EventRecorder(host, "probe.>")
        assert (await host.request("probe.asked")).data == ["probe", 7, []]
        health = runtime.health()["probe"]
        assert (health.healthy, health.message, health.metrics) == (False, "tired", {"speed": 7.0})
        assert runtime.status()["plugins"]["probe"]["message"] == "tired"
    assert [event.topic for event in events.events] == ["probe.asked", "probe.detached"]
    assert {event.sender for event in events.on("probe.detached")} == {"probe"}
    assert runtime.bus.subscriptions() == []


async def test_ready_and_stopping_are_told(install: Any) -> None:
    install("probe", LIFE, SETTINGS)
    async with running("probe") as runtime:
        events = EventRecorder(runtime.host("outside"), "$loom.>")
        topics = {known.topic for known in runtime.bus.topics()}
        assert {"$loom.ready", "probe.attached"} <= topics
    assert [event.topic for event in events.events] == ["$loom.stopping"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"speed": 0}, "'speed' in [plugins.probe] is 0, must be at least 1"),
        ({"speed": "x"}, "must be of type integer"),
        ({"sped": 1}, "unknown key 'sped' in [plugins.probe]; did you mean 'speed'?"),
        ({"tags": [1]}, "[plugins.probe]: Expected `str`, got `int`"),
    ],
)
async def test_wrong_settings_stop_everything_before_it_starts(
    install: Any, settings: dict[str, Any], says: str
) -> None:
    install("probe", LIFE, SETTINGS)
    with pytest.raises(ConfigError) as refused:
        async with running("probe", config={"plugins": {"probe": settings}}):
            pytest.fail("it started")
    assert says in str(refused.value)


async def test_pydantic_like_models_may_be_settings(install: Any) -> None:
    code = """
        class Model:
            @classmethod
            def model_validate(cls, raw):
                if raw["speed"] > 5:
                    raise ValueError("too fast")
                made = cls()
                made.speed = raw["speed"] * 2
                return made

        @hookimpl
        def loom_settings():
            return Model

        @hookimpl
        @asynccontextmanager
        async def loom_attach(host):
            await host.publish("speed", host.settings.speed)
            yield
    """
    install("probe", code, SETTINGS)
    async with running("probe") as runtime:
        assert [t.published for t in runtime.bus.topics() if t.topic == "speed"] == [1]
    with pytest.raises(ConfigError, match="too fast"):
        async with running("probe", config={"plugins": {"probe": {"speed": 6}}}):
            pytest.fail("it started")


async def test_a_plugin_may_specify_hooks_for_others(install: Any) -> None:
    install(
        "spec",
        """
        class More:
            @hookspec
            def loom_add_words(self, language): "Return words."

        @hookimpl
        def loom_add_hookspecs():
            return [More]
        """,
    )
    install("words", "@hookimpl\ndef loom_add_words(language):\n    return [language]\n")
    install("typo", "@hookimpl\ndef loom_add_word(language):\n    return [language]\n")
    async with running("spec", "words", "typo", strict=False) as runtime:
        assert runtime.plugins.call("words", "loom_add_words", language="en") == ["en"]
        assert "did you mean 'loom_add_words'?" in runtime.quarantined["typo"].reason
        assert set(runtime.quarantined) == {"typo"}


async def test_what_is_required_is_attached_before_and_detached_after(
    install: Any, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    code = f"""
        def note(word):
            with open({str(diary)!r}, "a") as file:
                file.write(word + " ")

        @hookimpl
        @asynccontextmanager
        async def loom_attach(host):
            note("+" + host.name)
            yield
            note("-" + host.name)
    """
    install("a", code, 'requires = ["b"]')
    install("b", code, 'after = ["c", "not-there"]')
    install("c", code)
    async with running("a", "b", "c") as runtime:
        assert runtime.attached == ["c", "b", "a"]
    assert diary.read_text().split() == ["+c", "+b", "+a", "-a", "-b", "-c"]


async def test_services_are_offered_once_and_found_by_contract(install: Any) -> None:
    async with running() as runtime:
        one, two = runtime.host("one"), runtime.host("two")
        with pytest.raises(ServiceMissing, match="'two' needs a service 'Clocks'"):
            two.require(Clocks)
        service = Clocks()
        one.provide(Clocks, service)
        assert two.require(Clocks) is service
        with pytest.raises(LoomError, match="'two' comes second"):
            two.provide(Clocks, Clocks())
        await one.aclose()
        with pytest.raises(ServiceMissing):
            two.require(Clocks)


class Clocks:
    """A contract."""


async def test_a_driver_is_loaded_by_name(install: Any) -> None:
    home = install("probe", "class Driver: pass")
    metadata = home.parent / "strange_probe-1.0.dist-info" / "entry_points.txt"
    metadata.write_text(
        metadata.read_text() + "[loom.test]\nfast = strange_probe.plugin:Driver\n"
        "broken = strange_probe.nothing:Driver\n"
    )
    async with running() as runtime:
        host = runtime.host("one")
        assert host.driver("loom.test", "fast").__name__ == "Driver"
        for name in ("slow", "broken"):
            with pytest.raises(LoomError, match=f"cannot use driver '{name}' of 'loom.test'.*fast"):
                host.driver("loom.test", name)


async def test_a_health_check_that_raises_is_unhealthy() -> None:
    async with running() as runtime:
        host = runtime.host("one")
        assert host.check_health().healthy

        def fail() -> Any:
            raise ValueError("no pulse")

        host.health(fail)
        assert not host.check_health().healthy
        assert "no pulse" in host.check_health().message


@pytest.mark.parametrize(
    ("code", "manifest", "says"),
    [
        ("", '[settings.x]\ntype = "string"\nhelp = ""', "has no help"),
        ("", '[commands]\nup = "start"', "the manifest lists"),
        (
            "@hookimpl\ndef loom_add_commands():\n    return [click.Command('up', callback=print)]",
            "",
            "brings {'up'}",
        ),
        (
            OTHER_SETTINGS,
            '[settings.x]\ntype = "integer"\ndefault = 1\nhelp = "x"',
            "the manifest lists",
        ),
    ],
)
async def test_the_contract_suite_finds(install: Any, code: str, manifest: str, says: str) -> None:
    install("probe", code, manifest)
    with pytest.raises(AssertionError, match=says):
        await check_plugin_contract("probe")


async def test_the_contract_suite_passes_what_is_right(install: Any) -> None:
    install("probe", LIFE.replace('False, "tired"', 'True, "fine"'), SETTINGS)
    await check_plugin_contract("probe")


def test_hooks_are_marked_with_the_same_names_for_all() -> None:
    @hookimpl
    def loom_settings() -> None: ...

    @hookspec
    def loom_more() -> None: ...

    assert vars(loom_settings)["loom_impl"]
    assert "loom_spec" in vars(loom_more)
