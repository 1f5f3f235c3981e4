from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IndexBatch(_message.Message):
    __slots__ = ("timestamp", "indexes", "instruments")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    timestamp: int
    indexes: _containers.RepeatedCompositeFieldContainer[Index]
    instruments: _containers.RepeatedCompositeFieldContainer[Index]
    def __init__(self, timestamp: _Optional[int] = ..., indexes: _Optional[_Iterable[_Union[Index, _Mapping]]] = ..., instruments: _Optional[_Iterable[_Union[Index, _Mapping]]] = ...) -> None: ...

class Index(_message.Message):
    __slots__ = ("indexname", "timestamp", "index_value", "high_index_value", "low_index_value", "volume", "prev_close", "exchange", "volume_oi")
    INDEXNAME_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    INDEX_VALUE_FIELD_NUMBER: _ClassVar[int]
    HIGH_INDEX_VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW_INDEX_VALUE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    PREV_CLOSE_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_OI_FIELD_NUMBER: _ClassVar[int]
    indexname: str
    timestamp: int
    index_value: int
    high_index_value: int
    low_index_value: int
    volume: int
    prev_close: int
    exchange: str
    volume_oi: int
    def __init__(self, indexname: _Optional[str] = ..., timestamp: _Optional[int] = ..., index_value: _Optional[int] = ..., high_index_value: _Optional[int] = ..., low_index_value: _Optional[int] = ..., volume: _Optional[int] = ..., prev_close: _Optional[int] = ..., exchange: _Optional[str] = ..., volume_oi: _Optional[int] = ...) -> None: ...

class BucketBatch(_message.Message):
    __slots__ = ("timestamp", "indexes", "instruments")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    timestamp: int
    indexes: _containers.RepeatedCompositeFieldContainer[Bucket]
    instruments: _containers.RepeatedCompositeFieldContainer[Bucket]
    def __init__(self, timestamp: _Optional[int] = ..., indexes: _Optional[_Iterable[_Union[Bucket, _Mapping]]] = ..., instruments: _Optional[_Iterable[_Union[Bucket, _Mapping]]] = ...) -> None: ...

class Bucket(_message.Message):
    __slots__ = ("indexname", "exchange", "interval", "timestamp", "open", "high", "low", "close", "cumulative_volume")
    INDEXNAME_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_VOLUME_FIELD_NUMBER: _ClassVar[int]
    indexname: str
    exchange: str
    interval: int
    timestamp: int
    open: int
    high: int
    low: int
    close: int
    cumulative_volume: int
    def __init__(self, indexname: _Optional[str] = ..., exchange: _Optional[str] = ..., interval: _Optional[int] = ..., timestamp: _Optional[int] = ..., open: _Optional[int] = ..., high: _Optional[int] = ..., low: _Optional[int] = ..., close: _Optional[int] = ..., cumulative_volume: _Optional[int] = ...) -> None: ...

class BookBatch(_message.Message):
    __slots__ = ("timestamp", "instruments")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    timestamp: int
    instruments: _containers.RepeatedCompositeFieldContainer[Book]
    def __init__(self, timestamp: _Optional[int] = ..., instruments: _Optional[_Iterable[_Union[Book, _Mapping]]] = ...) -> None: ...

class Book(_message.Message):
    __slots__ = ("inst_id", "timestamp", "bids", "asks", "ltp", "ltq", "volume", "ref_id")
    INST_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    BIDS_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    LTP_FIELD_NUMBER: _ClassVar[int]
    LTQ_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    REF_ID_FIELD_NUMBER: _ClassVar[int]
    inst_id: int
    timestamp: int
    bids: _containers.RepeatedCompositeFieldContainer[BookLevel]
    asks: _containers.RepeatedCompositeFieldContainer[BookLevel]
    ltp: int
    ltq: int
    volume: int
    ref_id: int
    def __init__(self, inst_id: _Optional[int] = ..., timestamp: _Optional[int] = ..., bids: _Optional[_Iterable[_Union[BookLevel, _Mapping]]] = ..., asks: _Optional[_Iterable[_Union[BookLevel, _Mapping]]] = ..., ltp: _Optional[int] = ..., ltq: _Optional[int] = ..., volume: _Optional[int] = ..., ref_id: _Optional[int] = ...) -> None: ...

class BookLevel(_message.Message):
    __slots__ = ("price", "quantity", "orders")
    PRICE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    price: int
    quantity: int
    orders: int
    def __init__(self, price: _Optional[int] = ..., quantity: _Optional[int] = ..., orders: _Optional[int] = ...) -> None: ...

class GreeksBatch(_message.Message):
    __slots__ = ("timestamp", "instruments")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    timestamp: int
    instruments: _containers.RepeatedCompositeFieldContainer[Greeks]
    def __init__(self, timestamp: _Optional[int] = ..., instruments: _Optional[_Iterable[_Union[Greeks, _Mapping]]] = ...) -> None: ...

class Greeks(_message.Message):
    __slots__ = ("inst_id", "ts", "ltp", "oi", "volume", "ref_id")
    INST_ID_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    LTP_FIELD_NUMBER: _ClassVar[int]
    OI_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    REF_ID_FIELD_NUMBER: _ClassVar[int]
    inst_id: int
    ts: int
    ltp: int
    oi: int
    volume: int
    ref_id: int
    def __init__(self, inst_id: _Optional[int] = ..., ts: _Optional[int] = ..., ltp: _Optional[int] = ..., oi: _Optional[int] = ..., volume: _Optional[int] = ..., ref_id: _Optional[int] = ...) -> None: ...

class OrderUpdate(_message.Message):
    __slots__ = ("intent_order_response",)
    INTENT_ORDER_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    intent_order_response: Order
    def __init__(self, intent_order_response: _Optional[_Union[Order, _Mapping]] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("intent_order_id", "order_status", "entry_config", "delivery_type", "price_type", "order_qty", "filled_qty", "order_price", "filled_price", "refdata", "ref_id", "order_side", "rejection_msg")
    INTENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_STATUS_FIELD_NUMBER: _ClassVar[int]
    ENTRY_CONFIG_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_TYPE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TYPE_FIELD_NUMBER: _ClassVar[int]
    ORDER_QTY_FIELD_NUMBER: _ClassVar[int]
    FILLED_QTY_FIELD_NUMBER: _ClassVar[int]
    ORDER_PRICE_FIELD_NUMBER: _ClassVar[int]
    FILLED_PRICE_FIELD_NUMBER: _ClassVar[int]
    REFDATA_FIELD_NUMBER: _ClassVar[int]
    REF_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_SIDE_FIELD_NUMBER: _ClassVar[int]
    REJECTION_MSG_FIELD_NUMBER: _ClassVar[int]
    intent_order_id: int
    order_status: int
    entry_config: EntryConfig
    delivery_type: int
    price_type: int
    order_qty: int
    filled_qty: int
    order_price: int
    filled_price: int
    refdata: RefData
    ref_id: int
    order_side: int
    rejection_msg: str
    def __init__(self, intent_order_id: _Optional[int] = ..., order_status: _Optional[int] = ..., entry_config: _Optional[_Union[EntryConfig, _Mapping]] = ..., delivery_type: _Optional[int] = ..., price_type: _Optional[int] = ..., order_qty: _Optional[int] = ..., filled_qty: _Optional[int] = ..., order_price: _Optional[int] = ..., filled_price: _Optional[int] = ..., refdata: _Optional[_Union[RefData, _Mapping]] = ..., ref_id: _Optional[int] = ..., order_side: _Optional[int] = ..., rejection_msg: _Optional[str] = ...) -> None: ...

class EntryConfig(_message.Message):
    __slots__ = ("conditions",)
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    def __init__(self, conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("threshold",)
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    threshold: int
    def __init__(self, threshold: _Optional[int] = ...) -> None: ...

class RefData(_message.Message):
    __slots__ = ("ref_id", "stock_name", "exchange", "derivative_type")
    REF_ID_FIELD_NUMBER: _ClassVar[int]
    STOCK_NAME_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    DERIVATIVE_TYPE_FIELD_NUMBER: _ClassVar[int]
    ref_id: int
    stock_name: str
    exchange: str
    derivative_type: str
    def __init__(self, ref_id: _Optional[int] = ..., stock_name: _Optional[str] = ..., exchange: _Optional[str] = ..., derivative_type: _Optional[str] = ...) -> None: ...
