"""The Python samples of the seeds, word for word, and the configuration they name.

Nothing here may be changed: that these lines run is the promise. `TEAM` came to us on one line; its
line breaks are ours.
"""

from __future__ import annotations

ASSISTANT = """
from loom import Agent, CognitiveAgent, LLMProvider

agent = Agent(agent_id="assistant")
await agent.start()

cognitive = CognitiveAgent(
    ctx=agent._ctx,
    llm=LLMProvider.from_env("deepseek"),
    available_tools=["web:search", "fs:read_file", "fs:write_file", "system:shell"],
)

# Interactive chat with ReAct reasoning
result = await cognitive.run("Research Bitcoin price trends and save a summary to report.md")
"""

CONFIGURATION = """
# loom.toml
[bridge]
address = "127.0.0.1:50051"

[llm.deepseek]
type = "http"
api_key = "${DEEPSEEK_API_KEY}"
api_base = "https://api.deepseek.com/v1"
model = "deepseek-chat"
"""

CONNECTION = """
from loom import Agent

agent = Agent(
    agent_id="my-agent",
    topics=["input.query"],
    address="127.0.0.1:50051"
)
await agent.start()
"""

LOOP = """
from loom import CognitiveAgent, CognitiveConfig, ThinkingStrategy

cognitive = CognitiveAgent(
    ctx=agent._ctx,
    llm=LLMProvider.from_config(ctx, "deepseek", config),
    config=CognitiveConfig(
        system_prompt="You are a helpful assistant...",
        thinking_strategy=ThinkingStrategy.REACT,
        max_iterations=10,
    ),
    available_tools=["weather:get", "fs:read"],
)

result = await cognitive.run("What's the weather in Tokyo?")
"""

PROVIDER = """
from loom import LLMProvider

# Direct HTTP call to LLM API (not through Rust Core)
llm = LLMProvider.from_config(ctx, "deepseek", project_config)
response = await llm.generate(
    prompt="Hello",
    system="You are helpful",
    temperature=0.7,
)
"""

TOOLS = """
# Tools execute in Rust Core (sandboxed)
result = await ctx.tool("weather:get", {"location": "Tokyo"})
result = await ctx.tool("fs:read", {"path": "data.txt"})
"""

CONTEXT = """
# Memory management in Python
cognitive.memory.add("user", "What's the weather?")
cognitive.memory.add("assistant", "Let me check...")

# Context assembly before LLM call
context = cognitive.memory.get_recent(10)
"""

TEAM = """
from loom import Agent, capability

@capability("research.search", version="1.0")
def search(query: str) -> dict:
    return {"results": ["https://example.com/doc1"]}

async def planner_handler(ctx, topic, event):
    if event.type == "user.question":
        # Use Envelope thread_id for correlation
        thread = ctx.thread(event)
        results = await ctx.request(thread, "topic.research", payload=event.payload, first_k=1, timeout_ms=2000)
        await ctx.reply(thread, {"done": True})

async def researcher_handler(ctx, topic, event):
    if event.type == "research.request":
        results = search(query=event.payload.decode())
        await ctx.reply(ctx.thread(event), {"results": results})

# Create and run agents
planner = Agent("planner", topics=["topic.plan"], on_event=planner_handler)
researcher = Agent("researcher", topics=["topic.research"], capabilities=[search], on_event=researcher_handler)
await planner.start()
await researcher.start()
"""  # noqa: E501  # the seed's own lines
