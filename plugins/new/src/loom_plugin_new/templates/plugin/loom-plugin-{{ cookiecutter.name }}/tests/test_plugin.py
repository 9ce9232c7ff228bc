"""The plugin in a real runtime."""

import pytest
from loom_kernel.testing import EventRecorder, check_plugin_contract, running

pytestmark = pytest.mark.anyio


async def test_it_keeps_the_contract_of_every_plugin() -> None:
    await check_plugin_contract("{{ cookiecutter.name }}")


async def test_it_greets_whoever_asks() -> None:
    config = {"plugins": {"{{ cookiecutter.name }}": {"greeting": "Good morning"}}}
    async with running("{{ cookiecutter.name }}", config=config) as runtime:
        host = runtime.host("ada")
        recorder = EventRecorder(host, "{{ cookiecutter.name }}.said")
        answer = await host.request("{{ cookiecutter.name }}.asked", {"who": "Ada"})
    assert answer.data == {"text": "Good morning, Ada!"}
    assert [event.data for event in recorder.events] == [{"text": "Good morning, Ada!"}]
