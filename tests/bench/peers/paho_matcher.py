"""paho-mqtt: the trie with which an MQTT client finds the callbacks of a topic."""

from __future__ import annotations

import json
import sys

from loom_plugin_bench import Meter, new_topics, patterns
from paho.mqtt.matcher import MQTTMatcher  # type: ignore[import-untyped]  # installed beside

TO_MQTT = str.maketrans(".*>", "/+#")


def first_sight(count: int, seconds: float) -> dict[str, float]:
    """What it costs to match topics that were never seen, with *count* subscriptions."""
    matcher = MQTTMatcher()
    for pattern in patterns(count):
        matcher[pattern.translate(TO_MQTT)] = pattern
    fresh = [topic.translate(TO_MQTT) for topic in new_topics(count)]
    meter = Meter(seconds)
    for topic in fresh:
        list(matcher.iter_match(topic))
    return {"lookup_ns": meter.spent / len(fresh) * 1e9}


if __name__ == "__main__":
    print(json.dumps(first_sight(int(sys.argv[1]), float(sys.argv[2]))))
