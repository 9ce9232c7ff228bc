"""{{ cookiecutter.summary }}."""

from loom.plugin import Call, Plugin

plugin = Plugin(types=("tool",), version="0.1.0")


@plugin.tool("{{ cookiecutter.name }}:count")
def count(text: str) -> dict[str, int]:
    """Count the words and the lines of a text."""
    return {"words": len(text.split()), "lines": len(text.splitlines())}


@plugin.tool("{{ cookiecutter.name }}:spell", reports=True)
async def spell(text: str, call: Call) -> list[str]:
    """Spell a text, and tell how far it has come."""
    for done, letter in enumerate(text, start=1):
        await call.progress(done, len(text), letter)
    return list(text)


if __name__ == "__main__":
    plugin.run()
