from __future__ import annotations

import pytest

from plugins.wasm.tests.site import App, build_c, manifest

pytestmark = pytest.mark.anyio


@pytest.mark.feature("PLG-02")
async def test_a_tool_written_in_c_answers_through_the_broker(app: App) -> None:
    app.add("words", build_c("words.c", app.folder / "words.wasm"), manifest("count", "echo"))
    async with app.running():
        assert await app.state("words") == ("ready", "")
        counted = await app.call("words:count", {"text": "one two three"})
        echoed = await app.call("words:echo", {"text": "one two three"})
    assert (counted.code, counted.output) == ("ACTION_OK", 3)
    assert echoed.output == {"text": "one two three"}
