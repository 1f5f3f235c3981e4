from google.protobuf import wrappers_pb2 as _wrappers_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MessageType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ping: _ClassVar[MessageType]
    quote: _ClassVar[MessageType]
    extended_quote: _ClassVar[MessageType]
    daily_quote: _ClassVar[MessageType]
    market_level: _ClassVar[MessageType]
    ohlcv: _ClassVar[MessageType]
    depth: _ClassVar[MessageType]
    all: _ClassVar[MessageType]
    response: _ClassVar[MessageType]
ping: MessageType
quote: MessageType
extended_quote: MessageType
daily_quote: MessageType
market_level: MessageType
ohlcv: MessageType
depth: MessageType
all: MessageType
response: MessageType

class SocketMessage(_message.Message):
    __slots__ = ("type", "feeds", "snapshot", "msg", "error")
    class FeedsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: MarketFeed
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[MarketFeed, _Mapping]] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FEEDS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    MSG_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    type: MessageType
    feeds: _containers.MessageMap[str, MarketFeed]
    snapshot: bool
    msg: str
    error: bool
    def __init__(self, type: _Optional[_Union[MessageType, str]] = ..., feeds: _Optional[_Mapping[str, MarketFeed]] = ..., snapshot: bool = ..., msg: _Optional[str] = ..., error: bool = ...) -> None: ...

class MarketFeed(_message.Message):
    __slots__ = ("depth", "feed_time", "send_time", "token", "sequence_no", "snapshot", "ticker")
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    FEED_TIME_FIELD_NUMBER: _ClassVar[int]
    SEND_TIME_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_NO_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    TICKER_FIELD_NUMBER: _ClassVar[int]
    depth: Depth
    feed_time: _wrappers_pb2.UInt64Value
    send_time: _wrappers_pb2.UInt64Value
    token: str
    sequence_no: int
    snapshot: bool
    ticker: str
    def __init__(self, depth: _Optional[_Union[Depth, _Mapping]] = ..., feed_time: _Optional[_Union[_wrappers_pb2.UInt64Value, _Mapping]] = ..., send_time: _Optional[_Union[_wrappers_pb2.UInt64Value, _Mapping]] = ..., token: _Optional[str] = ..., sequence_no: _Optional[int] = ..., snapshot: bool = ..., ticker: _Optional[str] = ...) -> None: ...

class Depth(_message.Message):
    __slots__ = ("tbq", "tsq", "asks", "bids")
    TBQ_FIELD_NUMBER: _ClassVar[int]
    TSQ_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    BIDS_FIELD_NUMBER: _ClassVar[int]
    tbq: _wrappers_pb2.UInt64Value
    tsq: _wrappers_pb2.UInt64Value
    asks: _containers.RepeatedCompositeFieldContainer[MarketLevel]
    bids: _containers.RepeatedCompositeFieldContainer[MarketLevel]
    def __init__(self, tbq: _Optional[_Union[_wrappers_pb2.UInt64Value, _Mapping]] = ..., tsq: _Optional[_Union[_wrappers_pb2.UInt64Value, _Mapping]] = ..., asks: _Optional[_Iterable[_Union[MarketLevel, _Mapping]]] = ..., bids: _Optional[_Iterable[_Union[MarketLevel, _Mapping]]] = ...) -> None: ...

class MarketLevel(_message.Message):
    __slots__ = ("price", "qty", "nord", "num")
    PRICE_FIELD_NUMBER: _ClassVar[int]
    QTY_FIELD_NUMBER: _ClassVar[int]
    NORD_FIELD_NUMBER: _ClassVar[int]
    NUM_FIELD_NUMBER: _ClassVar[int]
    price: _wrappers_pb2.Int64Value
    qty: _wrappers_pb2.UInt32Value
    nord: _wrappers_pb2.UInt32Value
    num: _wrappers_pb2.UInt32Value
    def __init__(self, price: _Optional[_Union[_wrappers_pb2.Int64Value, _Mapping]] = ..., qty: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., nord: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., num: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ...) -> None: ...
