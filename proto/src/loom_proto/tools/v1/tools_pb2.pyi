from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_CODE_UNSPECIFIED: _ClassVar[ErrorCode]
    ERROR_CODE_ACTION_OK: _ClassVar[ErrorCode]
    ERROR_CODE_ACTION_ERROR: _ClassVar[ErrorCode]
    ERROR_CODE_ACTION_TIMEOUT: _ClassVar[ErrorCode]
    ERROR_CODE_INVALID_PARAMS: _ClassVar[ErrorCode]
    ERROR_CODE_CAPABILITY_ERROR: _ClassVar[ErrorCode]
    ERROR_CODE_PROVIDER_UNAVAILABLE: _ClassVar[ErrorCode]
    ERROR_CODE_PERMISSION_DENIED: _ClassVar[ErrorCode]
    ERROR_CODE_APPROVAL_DENIED: _ClassVar[ErrorCode]
    ERROR_CODE_BUDGET_EXCEEDED: _ClassVar[ErrorCode]
    ERROR_CODE_OUTCOME_UNKNOWN: _ClassVar[ErrorCode]
ERROR_CODE_UNSPECIFIED: ErrorCode
ERROR_CODE_ACTION_OK: ErrorCode
ERROR_CODE_ACTION_ERROR: ErrorCode
ERROR_CODE_ACTION_TIMEOUT: ErrorCode
ERROR_CODE_INVALID_PARAMS: ErrorCode
ERROR_CODE_CAPABILITY_ERROR: ErrorCode
ERROR_CODE_PROVIDER_UNAVAILABLE: ErrorCode
ERROR_CODE_PERMISSION_DENIED: ErrorCode
ERROR_CODE_APPROVAL_DENIED: ErrorCode
ERROR_CODE_BUDGET_EXCEEDED: ErrorCode
ERROR_CODE_OUTCOME_UNKNOWN: ErrorCode

class ToolHints(_message.Message):
    __slots__ = ("read_only", "destructive", "idempotent")
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    DESTRUCTIVE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENT_FIELD_NUMBER: _ClassVar[int]
    read_only: bool
    destructive: bool
    idempotent: bool
    def __init__(self, read_only: _Optional[bool] = ..., destructive: _Optional[bool] = ..., idempotent: _Optional[bool] = ...) -> None: ...

class ToolDescriptor(_message.Message):
    __slots__ = ("name", "description", "parameters", "version", "result", "provider", "owner", "address", "timeout", "hints", "permissions", "labels", "concurrency", "is_prepared")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    HINTS_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    IS_PREPARED_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    parameters: bytes
    version: str
    result: bytes
    provider: str
    owner: str
    address: str
    timeout: float
    hints: ToolHints
    permissions: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.RepeatedScalarFieldContainer[str]
    concurrency: int
    is_prepared: bool
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., parameters: _Optional[bytes] = ..., version: _Optional[str] = ..., result: _Optional[bytes] = ..., provider: _Optional[str] = ..., owner: _Optional[str] = ..., address: _Optional[str] = ..., timeout: _Optional[float] = ..., hints: _Optional[_Union[ToolHints, _Mapping]] = ..., permissions: _Optional[_Iterable[str]] = ..., labels: _Optional[_Iterable[str]] = ..., concurrency: _Optional[int] = ..., is_prepared: _Optional[bool] = ...) -> None: ...

class ToolCall(_message.Message):
    __slots__ = ("name", "arguments", "id", "version", "timeout", "caller", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    arguments: bytes
    id: str
    version: str
    timeout: float
    caller: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., arguments: _Optional[bytes] = ..., id: _Optional[str] = ..., version: _Optional[str] = ..., timeout: _Optional[float] = ..., caller: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ToolFailure(_message.Message):
    __slots__ = ("message", "details")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    message: str
    details: bytes
    def __init__(self, message: _Optional[str] = ..., details: _Optional[bytes] = ...) -> None: ...

class ToolResult(_message.Message):
    __slots__ = ("id", "code", "output", "error", "duration")
    ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    id: str
    code: ErrorCode
    output: bytes
    error: ToolFailure
    duration: float
    def __init__(self, id: _Optional[str] = ..., code: _Optional[_Union[ErrorCode, str]] = ..., output: _Optional[bytes] = ..., error: _Optional[_Union[ToolFailure, _Mapping]] = ..., duration: _Optional[float] = ...) -> None: ...
