from loom_proto.events.v1 import events_pb2 as _events_pb2
from loom_proto.tools.v1 import tools_pb2 as _tools_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PluginType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLUGIN_TYPE_UNSPECIFIED: _ClassVar[PluginType]
    PLUGIN_TYPE_FEATURE_EXTRACTOR: _ClassVar[PluginType]
    PLUGIN_TYPE_MODEL_BACKEND: _ClassVar[PluginType]
    PLUGIN_TYPE_TOOL: _ClassVar[PluginType]
    PLUGIN_TYPE_ACTUATOR: _ClassVar[PluginType]
PLUGIN_TYPE_UNSPECIFIED: PluginType
PLUGIN_TYPE_FEATURE_EXTRACTOR: PluginType
PLUGIN_TYPE_MODEL_BACKEND: PluginType
PLUGIN_TYPE_TOOL: PluginType
PLUGIN_TYPE_ACTUATOR: PluginType

class InitRequest(_message.Message):
    __slots__ = ("name", "protocol", "settings", "permissions", "state_dir")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    STATE_DIR_FIELD_NUMBER: _ClassVar[int]
    name: str
    protocol: int
    settings: bytes
    permissions: _containers.RepeatedScalarFieldContainer[str]
    state_dir: str
    def __init__(self, name: _Optional[str] = ..., protocol: _Optional[int] = ..., settings: _Optional[bytes] = ..., permissions: _Optional[_Iterable[str]] = ..., state_dir: _Optional[str] = ...) -> None: ...

class InitResponse(_message.Message):
    __slots__ = ("version", "types", "patterns", "tools", "reporting")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    REPORTING_FIELD_NUMBER: _ClassVar[int]
    version: str
    types: _containers.RepeatedScalarFieldContainer[PluginType]
    patterns: _containers.RepeatedScalarFieldContainer[str]
    tools: _containers.RepeatedCompositeFieldContainer[_tools_pb2.ToolDescriptor]
    reporting: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., types: _Optional[_Iterable[_Union[PluginType, str]]] = ..., patterns: _Optional[_Iterable[str]] = ..., tools: _Optional[_Iterable[_Union[_tools_pb2.ToolDescriptor, _Mapping]]] = ..., reporting: _Optional[_Iterable[str]] = ...) -> None: ...

class HandleEventRequest(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _events_pb2.Envelope
    def __init__(self, event: _Optional[_Union[_events_pb2.Envelope, _Mapping]] = ...) -> None: ...

class HandleEventResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Emission]
    def __init__(self, events: _Optional[_Iterable[_Union[Emission, _Mapping]]] = ...) -> None: ...

class Emission(_message.Message):
    __slots__ = ("topic", "type", "payload", "data", "subject", "metadata", "tags", "priority", "confidence")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    topic: str
    type: str
    payload: bytes
    data: bytes
    subject: str
    metadata: _containers.ScalarMap[str, str]
    tags: _containers.RepeatedScalarFieldContainer[str]
    priority: int
    confidence: float
    def __init__(self, topic: _Optional[str] = ..., type: _Optional[str] = ..., payload: _Optional[bytes] = ..., data: _Optional[bytes] = ..., subject: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., tags: _Optional[_Iterable[str]] = ..., priority: _Optional[int] = ..., confidence: _Optional[float] = ...) -> None: ...

class CallRequest(_message.Message):
    __slots__ = ("call",)
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: _tools_pb2.ToolCall
    def __init__(self, call: _Optional[_Union[_tools_pb2.ToolCall, _Mapping]] = ...) -> None: ...

class CallResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _tools_pb2.ToolResult
    def __init__(self, result: _Optional[_Union[_tools_pb2.ToolResult, _Mapping]] = ...) -> None: ...

class CallStreamRequest(_message.Message):
    __slots__ = ("call",)
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: _tools_pb2.ToolCall
    def __init__(self, call: _Optional[_Union[_tools_pb2.ToolCall, _Mapping]] = ...) -> None: ...

class CallStreamResponse(_message.Message):
    __slots__ = ("progress", "result")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    result: _tools_pb2.ToolResult
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., result: _Optional[_Union[_tools_pb2.ToolResult, _Mapping]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("done", "total", "message")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    done: float
    total: float
    message: str
    def __init__(self, done: _Optional[float] = ..., total: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class HealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HealthResponse(_message.Message):
    __slots__ = ("healthy", "message", "metrics", "running")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    healthy: bool
    message: str
    metrics: _containers.ScalarMap[str, float]
    running: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, healthy: _Optional[bool] = ..., message: _Optional[str] = ..., metrics: _Optional[_Mapping[str, float]] = ..., running: _Optional[_Iterable[str]] = ...) -> None: ...

class ShutdownRequest(_message.Message):
    __slots__ = ("grace", "force")
    GRACE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    grace: float
    force: bool
    def __init__(self, grace: _Optional[float] = ..., force: _Optional[bool] = ...) -> None: ...

class ShutdownResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
