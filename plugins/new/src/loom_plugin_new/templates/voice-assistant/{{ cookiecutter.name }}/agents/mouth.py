"""Answers what it knows without a model: the time, and reminders."""

import re
from datetime import UTC, datetime

from loom import Agent, Context, Envelope

REMIND = re.compile(r"remind me in (\d+) (second|minute|hour)s? to (.+)", re.IGNORECASE)
SECONDS = {"second": 1, "minute": 60, "hour": 3600}


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    if topic.startswith("timer."):
        await say(ctx, f"You wanted to {event.data['data']['task']}.")
    elif "time" in event.data["question"].lower():
        now = datetime.fromtimestamp(ctx.clock.time(), UTC).astimezone()
        await say(ctx, f"It is {now:%H:%M}.")
    elif asked := REMIND.search(event.data["question"]):
        await remind(ctx, int(asked[1]) * SECONDS[asked[2].lower()], asked[3])
    else:
        await say(ctx, "I do not know that yet.")


async def remind(ctx: Context, seconds: int, task: str) -> None:
    answer = await ctx.request("timer.schedule", {"in": seconds, "data": {"task": task}})
    done = answer.data["code"] == "ACTION_OK"
    await say(ctx, "I will." if done else f"I cannot: {answer.data['message']}")


async def say(ctx: Context, text: str) -> None:
    await ctx.emit("speech.requested", {"text": text})


agent = Agent("mouth", topics=["assistant.asked", "timer.*"], on_event=on_event)
