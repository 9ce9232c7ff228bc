from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExecutionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXECUTION_STATUS_UNSPECIFIED: _ClassVar[ExecutionStatus]
    EXECUTION_STATUS_SUCCEEDED: _ClassVar[ExecutionStatus]
    EXECUTION_STATUS_FAILED: _ClassVar[ExecutionStatus]
    EXECUTION_STATUS_SKIPPED: _ClassVar[ExecutionStatus]
EXECUTION_STATUS_UNSPECIFIED: ExecutionStatus
EXECUTION_STATUS_SUCCEEDED: ExecutionStatus
EXECUTION_STATUS_FAILED: ExecutionStatus
EXECUTION_STATUS_SKIPPED: ExecutionStatus

class PlanRecord(_message.Message):
    __slots__ = ("time", "subject", "action", "confidence", "reasoning", "plan_hash", "method", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TIME_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    time: float
    subject: str
    action: str
    confidence: float
    reasoning: str
    plan_hash: str
    method: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, time: _Optional[float] = ..., subject: _Optional[str] = ..., action: _Optional[str] = ..., confidence: _Optional[float] = ..., reasoning: _Optional[str] = ..., plan_hash: _Optional[str] = ..., method: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ExecutionRecord(_message.Message):
    __slots__ = ("time", "plan_hash", "subject", "action", "confidence", "status", "reference", "amount", "unit", "error_message")
    TIME_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    time: float
    plan_hash: str
    subject: str
    action: str
    confidence: float
    status: ExecutionStatus
    reference: str
    amount: float
    unit: str
    error_message: str
    def __init__(self, time: _Optional[float] = ..., plan_hash: _Optional[str] = ..., subject: _Optional[str] = ..., action: _Optional[str] = ..., confidence: _Optional[float] = ..., status: _Optional[_Union[ExecutionStatus, str]] = ..., reference: _Optional[str] = ..., amount: _Optional[float] = ..., unit: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class SavePlanRequest(_message.Message):
    __slots__ = ("session_id", "plan")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    plan: PlanRecord
    def __init__(self, session_id: _Optional[str] = ..., plan: _Optional[_Union[PlanRecord, _Mapping]] = ...) -> None: ...

class SavePlanResponse(_message.Message):
    __slots__ = ("plan_hash",)
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    plan_hash: str
    def __init__(self, plan_hash: _Optional[str] = ...) -> None: ...

class GetRecentPlansRequest(_message.Message):
    __slots__ = ("session_id", "subject", "limit")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    subject: str
    limit: int
    def __init__(self, session_id: _Optional[str] = ..., subject: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class GetRecentPlansResponse(_message.Message):
    __slots__ = ("plans",)
    PLANS_FIELD_NUMBER: _ClassVar[int]
    plans: _containers.RepeatedCompositeFieldContainer[PlanRecord]
    def __init__(self, plans: _Optional[_Iterable[_Union[PlanRecord, _Mapping]]] = ...) -> None: ...

class CheckDuplicateRequest(_message.Message):
    __slots__ = ("session_id", "plan", "window")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    plan: PlanRecord
    window: float
    def __init__(self, session_id: _Optional[str] = ..., plan: _Optional[_Union[PlanRecord, _Mapping]] = ..., window: _Optional[float] = ...) -> None: ...

class CheckDuplicateResponse(_message.Message):
    __slots__ = ("duplicate", "age")
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    duplicate: PlanRecord
    age: float
    def __init__(self, duplicate: _Optional[_Union[PlanRecord, _Mapping]] = ..., age: _Optional[float] = ...) -> None: ...

class MarkExecutedRequest(_message.Message):
    __slots__ = ("session_id", "plan_hash", "execution")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    plan_hash: str
    execution: ExecutionRecord
    def __init__(self, session_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., execution: _Optional[_Union[ExecutionRecord, _Mapping]] = ...) -> None: ...

class MarkExecutedResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CheckExecutedRequest(_message.Message):
    __slots__ = ("session_id", "plan_hash")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    plan_hash: str
    def __init__(self, session_id: _Optional[str] = ..., plan_hash: _Optional[str] = ...) -> None: ...

class CheckExecutedResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: ExecutionRecord
    def __init__(self, execution: _Optional[_Union[ExecutionRecord, _Mapping]] = ...) -> None: ...

class GetExecutionStatsRequest(_message.Message):
    __slots__ = ("session_id", "subject")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    subject: str
    def __init__(self, session_id: _Optional[str] = ..., subject: _Optional[str] = ...) -> None: ...

class GetExecutionStatsResponse(_message.Message):
    __slots__ = ("total", "succeeded", "failed", "skipped", "duplicates_prevented", "recent")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_PREVENTED_FIELD_NUMBER: _ClassVar[int]
    RECENT_FIELD_NUMBER: _ClassVar[int]
    total: int
    succeeded: int
    failed: int
    skipped: int
    duplicates_prevented: int
    recent: _containers.RepeatedCompositeFieldContainer[ExecutionRecord]
    def __init__(self, total: _Optional[int] = ..., succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., skipped: _Optional[int] = ..., duplicates_prevented: _Optional[int] = ..., recent: _Optional[_Iterable[_Union[ExecutionRecord, _Mapping]]] = ...) -> None: ...

class AppendEventRequest(_message.Message):
    __slots__ = ("session_id", "text", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    text: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, session_id: _Optional[str] = ..., text: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class AppendEventResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RetrieveRequest(_message.Message):
    __slots__ = ("session_id", "query", "limit", "filters")
    class FiltersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    query: str
    limit: int
    filters: _containers.ScalarMap[str, str]
    def __init__(self, session_id: _Optional[str] = ..., query: _Optional[str] = ..., limit: _Optional[int] = ..., filters: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RetrieveResponse(_message.Message):
    __slots__ = ("items",)
    class Item(_message.Message):
        __slots__ = ("text", "time", "metadata", "score")
        class MetadataEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        TEXT_FIELD_NUMBER: _ClassVar[int]
        TIME_FIELD_NUMBER: _ClassVar[int]
        METADATA_FIELD_NUMBER: _ClassVar[int]
        SCORE_FIELD_NUMBER: _ClassVar[int]
        text: str
        time: float
        metadata: _containers.ScalarMap[str, str]
        score: float
        def __init__(self, text: _Optional[str] = ..., time: _Optional[float] = ..., metadata: _Optional[_Mapping[str, str]] = ..., score: _Optional[float] = ...) -> None: ...
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RetrieveResponse.Item]
    def __init__(self, items: _Optional[_Iterable[_Union[RetrieveResponse.Item, _Mapping]]] = ...) -> None: ...

class SummarizeEpisodeRequest(_message.Message):
    __slots__ = ("session_id", "max_events")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_EVENTS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    max_events: int
    def __init__(self, session_id: _Optional[str] = ..., max_events: _Optional[int] = ...) -> None: ...

class SummarizeEpisodeResponse(_message.Message):
    __slots__ = ("summary", "events")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    summary: str
    events: int
    def __init__(self, summary: _Optional[str] = ..., events: _Optional[int] = ...) -> None: ...
