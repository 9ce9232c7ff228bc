from loom_proto.bridge.v1 import bridge_pb2 as _bridge_pb2
from loom_proto.events.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PublishRequest(_message.Message):
    __slots__ = ("topic", "payload", "data", "type", "fields")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    topic: str
    payload: bytes
    data: bytes
    type: str
    fields: _bridge_pb2.PublishFields
    def __init__(self, topic: _Optional[str] = ..., payload: _Optional[bytes] = ..., data: _Optional[bytes] = ..., type: _Optional[str] = ..., fields: _Optional[_Union[_bridge_pb2.PublishFields, _Mapping]] = ...) -> None: ...

class PublishResponse(_message.Message):
    __slots__ = ("taken",)
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    taken: int
    def __init__(self, taken: _Optional[int] = ...) -> None: ...

class SubscribeRequest(_message.Message):
    __slots__ = ("patterns", "qos", "overflow", "capacity", "types", "group")
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    QOS_FIELD_NUMBER: _ClassVar[int]
    OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    patterns: _containers.RepeatedScalarFieldContainer[str]
    qos: _bridge_pb2.Qos
    overflow: str
    capacity: int
    types: _containers.RepeatedScalarFieldContainer[str]
    group: str
    def __init__(self, patterns: _Optional[_Iterable[str]] = ..., qos: _Optional[_Union[_bridge_pb2.Qos, str]] = ..., overflow: _Optional[str] = ..., capacity: _Optional[int] = ..., types: _Optional[_Iterable[str]] = ..., group: _Optional[str] = ...) -> None: ...

class SubscribeResponse(_message.Message):
    __slots__ = ("subscription_id", "events")
    SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    subscription_id: str
    events: _containers.RepeatedCompositeFieldContainer[_events_pb2.Envelope]
    def __init__(self, subscription_id: _Optional[str] = ..., events: _Optional[_Iterable[_Union[_events_pb2.Envelope, _Mapping]]] = ...) -> None: ...

class UnsubscribeRequest(_message.Message):
    __slots__ = ("subscription_id",)
    SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    subscription_id: str
    def __init__(self, subscription_id: _Optional[str] = ...) -> None: ...

class UnsubscribeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatsRequest(_message.Message):
    __slots__ = ("patterns",)
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    patterns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, patterns: _Optional[_Iterable[str]] = ...) -> None: ...

class GetStatsResponse(_message.Message):
    __slots__ = ("topics", "subscriptions")
    class Topic(_message.Message):
        __slots__ = ("topic", "published", "offered", "delivered", "dropped", "expired", "backlog", "subscriptions")
        class DroppedEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: int
            def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
        TOPIC_FIELD_NUMBER: _ClassVar[int]
        PUBLISHED_FIELD_NUMBER: _ClassVar[int]
        OFFERED_FIELD_NUMBER: _ClassVar[int]
        DELIVERED_FIELD_NUMBER: _ClassVar[int]
        DROPPED_FIELD_NUMBER: _ClassVar[int]
        EXPIRED_FIELD_NUMBER: _ClassVar[int]
        BACKLOG_FIELD_NUMBER: _ClassVar[int]
        SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
        topic: str
        published: int
        offered: int
        delivered: int
        dropped: _containers.ScalarMap[str, int]
        expired: int
        backlog: int
        subscriptions: int
        def __init__(self, topic: _Optional[str] = ..., published: _Optional[int] = ..., offered: _Optional[int] = ..., delivered: _Optional[int] = ..., dropped: _Optional[_Mapping[str, int]] = ..., expired: _Optional[int] = ..., backlog: _Optional[int] = ..., subscriptions: _Optional[int] = ...) -> None: ...
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    topics: _containers.RepeatedCompositeFieldContainer[GetStatsResponse.Topic]
    subscriptions: int
    def __init__(self, topics: _Optional[_Iterable[_Union[GetStatsResponse.Topic, _Mapping]]] = ..., subscriptions: _Optional[int] = ...) -> None: ...
