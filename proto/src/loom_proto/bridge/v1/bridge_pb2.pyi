from loom_proto.events.v1 import events_pb2 as _events_pb2
from loom_proto.tools.v1 import tools_pb2 as _tools_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Qos(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QOS_UNSPECIFIED: _ClassVar[Qos]
    QOS_REALTIME: _ClassVar[Qos]
    QOS_BATCHED: _ClassVar[Qos]
    QOS_BACKGROUND: _ClassVar[Qos]

class FailureCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_CODE_UNSPECIFIED: _ClassVar[FailureCode]
    FAILURE_CODE_INVALID_ARGUMENT: _ClassVar[FailureCode]
    FAILURE_CODE_DEADLINE_EXCEEDED: _ClassVar[FailureCode]
    FAILURE_CODE_NOT_FOUND: _ClassVar[FailureCode]
    FAILURE_CODE_ALREADY_EXISTS: _ClassVar[FailureCode]
    FAILURE_CODE_PERMISSION_DENIED: _ClassVar[FailureCode]
    FAILURE_CODE_RESOURCE_EXHAUSTED: _ClassVar[FailureCode]
    FAILURE_CODE_FAILED_PRECONDITION: _ClassVar[FailureCode]
    FAILURE_CODE_ABORTED: _ClassVar[FailureCode]
    FAILURE_CODE_INTERNAL: _ClassVar[FailureCode]
    FAILURE_CODE_UNAVAILABLE: _ClassVar[FailureCode]
    FAILURE_CODE_UNAUTHENTICATED: _ClassVar[FailureCode]
QOS_UNSPECIFIED: Qos
QOS_REALTIME: Qos
QOS_BATCHED: Qos
QOS_BACKGROUND: Qos
FAILURE_CODE_UNSPECIFIED: FailureCode
FAILURE_CODE_INVALID_ARGUMENT: FailureCode
FAILURE_CODE_DEADLINE_EXCEEDED: FailureCode
FAILURE_CODE_NOT_FOUND: FailureCode
FAILURE_CODE_ALREADY_EXISTS: FailureCode
FAILURE_CODE_PERMISSION_DENIED: FailureCode
FAILURE_CODE_RESOURCE_EXHAUSTED: FailureCode
FAILURE_CODE_FAILED_PRECONDITION: FailureCode
FAILURE_CODE_ABORTED: FailureCode
FAILURE_CODE_INTERNAL: FailureCode
FAILURE_CODE_UNAVAILABLE: FailureCode
FAILURE_CODE_UNAUTHENTICATED: FailureCode

class SessionRequest(_message.Message):
    __slots__ = ("first", "seen", "messages", "packed")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    first: int
    seen: int
    messages: _containers.RepeatedCompositeFieldContainer[ClientMessage]
    packed: bytes
    def __init__(self, first: _Optional[int] = ..., seen: _Optional[int] = ..., messages: _Optional[_Iterable[_Union[ClientMessage, _Mapping]]] = ..., packed: _Optional[bytes] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("first", "seen", "messages", "packed")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    first: int
    seen: int
    messages: _containers.RepeatedCompositeFieldContainer[ServerMessage]
    packed: bytes
    def __init__(self, first: _Optional[int] = ..., seen: _Optional[int] = ..., messages: _Optional[_Iterable[_Union[ServerMessage, _Mapping]]] = ..., packed: _Optional[bytes] = ...) -> None: ...

class ClientMessage(_message.Message):
    __slots__ = ("hello", "subscribe", "unsubscribe", "publish", "ack", "offer", "call", "result", "cancel", "report", "bye", "settle")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    BYE_FIELD_NUMBER: _ClassVar[int]
    SETTLE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    subscribe: Subscribe
    unsubscribe: Unsubscribe
    publish: Publish
    ack: Ack
    offer: Offer
    call: Call
    result: Result
    cancel: Cancel
    report: Report
    bye: Bye
    settle: Settle
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., subscribe: _Optional[_Union[Subscribe, _Mapping]] = ..., unsubscribe: _Optional[_Union[Unsubscribe, _Mapping]] = ..., publish: _Optional[_Union[Publish, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., offer: _Optional[_Union[Offer, _Mapping]] = ..., call: _Optional[_Union[Call, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., report: _Optional[_Union[Report, _Mapping]] = ..., bye: _Optional[_Union[Bye, _Mapping]] = ..., settle: _Optional[_Union[Settle, _Mapping]] = ...) -> None: ...

class ServerMessage(_message.Message):
    __slots__ = ("welcome", "deliver", "call", "result", "cancel", "taken", "failure")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    DELIVER_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    deliver: Deliver
    call: Call
    result: Result
    cancel: Cancel
    taken: Taken
    failure: Failure
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., deliver: _Optional[_Union[Deliver, _Mapping]] = ..., call: _Optional[_Union[Call, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., taken: _Optional[_Union[Taken, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("token", "agent", "protocol", "software", "session", "key", "seen", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    token: str
    agent: str
    protocol: int
    software: str
    session: str
    key: str
    seen: int
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, token: _Optional[str] = ..., agent: _Optional[str] = ..., protocol: _Optional[int] = ..., software: _Optional[str] = ..., session: _Optional[str] = ..., key: _Optional[str] = ..., seen: _Optional[int] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Subscribe(_message.Message):
    __slots__ = ("sub", "patterns", "qos", "overflow", "capacity", "types", "group", "window")
    SUB_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    QOS_FIELD_NUMBER: _ClassVar[int]
    OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    sub: int
    patterns: _containers.RepeatedScalarFieldContainer[str]
    qos: Qos
    overflow: str
    capacity: int
    types: _containers.RepeatedScalarFieldContainer[str]
    group: str
    window: int
    def __init__(self, sub: _Optional[int] = ..., patterns: _Optional[_Iterable[str]] = ..., qos: _Optional[_Union[Qos, str]] = ..., overflow: _Optional[str] = ..., capacity: _Optional[int] = ..., types: _Optional[_Iterable[str]] = ..., group: _Optional[str] = ..., window: _Optional[int] = ...) -> None: ...

class Unsubscribe(_message.Message):
    __slots__ = ("sub", "patterns")
    SUB_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    sub: int
    patterns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sub: _Optional[int] = ..., patterns: _Optional[_Iterable[str]] = ...) -> None: ...

class PublishFields(_message.Message):
    __slots__ = ("subject", "priority", "confidence", "tags", "metadata", "content_type", "reply_to", "thread_id", "correlation_id", "labels", "ttl", "budget", "expires")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    THREAD_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    subject: str
    priority: int
    confidence: float
    tags: _containers.RepeatedScalarFieldContainer[str]
    metadata: _containers.ScalarMap[str, str]
    content_type: str
    reply_to: str
    thread_id: str
    correlation_id: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    ttl: int
    budget: _events_pb2.Budget
    expires: float
    def __init__(self, subject: _Optional[str] = ..., priority: _Optional[int] = ..., confidence: _Optional[float] = ..., tags: _Optional[_Iterable[str]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., content_type: _Optional[str] = ..., reply_to: _Optional[str] = ..., thread_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., ttl: _Optional[int] = ..., budget: _Optional[_Union[_events_pb2.Budget, _Mapping]] = ..., expires: _Optional[float] = ...) -> None: ...

class Publish(_message.Message):
    __slots__ = ("topic", "payload", "data", "type", "cause", "confirm", "fields")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    topic: str
    payload: bytes
    data: bytes
    type: str
    cause: int
    confirm: bool
    fields: PublishFields
    def __init__(self, topic: _Optional[str] = ..., payload: _Optional[bytes] = ..., data: _Optional[bytes] = ..., type: _Optional[str] = ..., cause: _Optional[int] = ..., confirm: _Optional[bool] = ..., fields: _Optional[_Union[PublishFields, _Mapping]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("ranges", "failed")
    class Range(_message.Message):
        __slots__ = ("first", "last")
        FIRST_FIELD_NUMBER: _ClassVar[int]
        LAST_FIELD_NUMBER: _ClassVar[int]
        first: int
        last: int
        def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...
    RANGES_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    ranges: _containers.RepeatedCompositeFieldContainer[Ack.Range]
    failed: int
    def __init__(self, ranges: _Optional[_Iterable[_Union[Ack.Range, _Mapping]]] = ..., failed: _Optional[int] = ...) -> None: ...

class Offer(_message.Message):
    __slots__ = ("tools",)
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    tools: _containers.RepeatedCompositeFieldContainer[_tools_pb2.ToolDescriptor]
    def __init__(self, tools: _Optional[_Iterable[_Union[_tools_pb2.ToolDescriptor, _Mapping]]] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("about", "details")
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    about: str
    details: bytes
    def __init__(self, about: _Optional[str] = ..., details: _Optional[bytes] = ...) -> None: ...

class Settle(_message.Message):
    __slots__ = ("delivery", "outcome", "reason", "delay", "state", "clock")
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    delivery: int
    outcome: str
    reason: str
    delay: float
    state: bytes
    clock: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, delivery: _Optional[int] = ..., outcome: _Optional[str] = ..., reason: _Optional[str] = ..., delay: _Optional[float] = ..., state: _Optional[bytes] = ..., clock: _Optional[_Iterable[float]] = ...) -> None: ...

class Bye(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Call(_message.Message):
    __slots__ = ("ref", "call", "cause")
    REF_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ref: int
    call: _tools_pb2.ToolCall
    cause: int
    def __init__(self, ref: _Optional[int] = ..., call: _Optional[_Union[_tools_pb2.ToolCall, _Mapping]] = ..., cause: _Optional[int] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("ref", "result")
    REF_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ref: int
    result: _tools_pb2.ToolResult
    def __init__(self, ref: _Optional[int] = ..., result: _Optional[_Union[_tools_pb2.ToolResult, _Mapping]] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("ref",)
    REF_FIELD_NUMBER: _ClassVar[int]
    ref: int
    def __init__(self, ref: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session", "key", "epoch", "name", "resumed", "seen", "heartbeat", "lease", "retention", "max_frame", "max_payload", "keeps", "state")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    MAX_FRAME_FIELD_NUMBER: _ClassVar[int]
    MAX_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    KEEPS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    session: str
    key: str
    epoch: int
    name: str
    resumed: bool
    seen: int
    heartbeat: float
    lease: float
    retention: float
    max_frame: int
    max_payload: int
    keeps: bool
    state: bytes
    def __init__(self, session: _Optional[str] = ..., key: _Optional[str] = ..., epoch: _Optional[int] = ..., name: _Optional[str] = ..., resumed: _Optional[bool] = ..., seen: _Optional[int] = ..., heartbeat: _Optional[float] = ..., lease: _Optional[float] = ..., retention: _Optional[float] = ..., max_frame: _Optional[int] = ..., max_payload: _Optional[int] = ..., keeps: _Optional[bool] = ..., state: _Optional[bytes] = ...) -> None: ...

class Deliver(_message.Message):
    __slots__ = ("sub", "number", "event", "again")
    SUB_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    sub: int
    number: int
    event: _events_pb2.Envelope
    again: bool
    def __init__(self, sub: _Optional[int] = ..., number: _Optional[int] = ..., event: _Optional[_Union[_events_pb2.Envelope, _Mapping]] = ..., again: _Optional[bool] = ...) -> None: ...

class Taken(_message.Message):
    __slots__ = ("about", "count")
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    about: int
    count: int
    def __init__(self, about: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "message", "about", "fatal", "details")
    class DetailsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    FATAL_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: FailureCode
    message: str
    about: int
    fatal: bool
    details: _containers.ScalarMap[str, str]
    def __init__(self, code: _Optional[_Union[FailureCode, str]] = ..., message: _Optional[str] = ..., about: _Optional[int] = ..., fatal: _Optional[bool] = ..., details: _Optional[_Mapping[str, str]] = ...) -> None: ...
