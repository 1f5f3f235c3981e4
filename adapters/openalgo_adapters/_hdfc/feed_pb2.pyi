from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PacketList(_message.Message):
    __slots__ = ("packets",)
    PACKETS_FIELD_NUMBER: _ClassVar[int]
    packets: _containers.RepeatedCompositeFieldContainer[Packet]
    def __init__(self, packets: _Optional[_Iterable[_Union[Packet, _Mapping]]] = ...) -> None: ...

class Packet(_message.Message):
    __slots__ = ("instrument_id", "quote", "index", "order", "packet_timestamp", "packet_type")
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    PACKET_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    PACKET_TYPE_FIELD_NUMBER: _ClassVar[int]
    instrument_id: int
    quote: Quote
    index: Index
    order: Order
    packet_timestamp: int
    packet_type: int
    def __init__(self, instrument_id: _Optional[int] = ..., quote: _Optional[_Union[Quote, _Mapping]] = ..., index: _Optional[_Union[Index, _Mapping]] = ..., order: _Optional[_Union[Order, _Mapping]] = ..., packet_timestamp: _Optional[int] = ..., packet_type: _Optional[int] = ...) -> None: ...

class Quote(_message.Message):
    __slots__ = ("last_traded_price", "last_trade_time", "open_price", "high_price", "closing_price", "low_price", "volume_traded_today", "last_trade_quantity", "average_trade_price", "book", "total_buy_quantity", "total_sell_quantity", "lower_circuit_limit", "upper_circuit_limit", "oi")
    LAST_TRADED_PRICE_FIELD_NUMBER: _ClassVar[int]
    LAST_TRADE_TIME_FIELD_NUMBER: _ClassVar[int]
    OPEN_PRICE_FIELD_NUMBER: _ClassVar[int]
    HIGH_PRICE_FIELD_NUMBER: _ClassVar[int]
    CLOSING_PRICE_FIELD_NUMBER: _ClassVar[int]
    LOW_PRICE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_TRADED_TODAY_FIELD_NUMBER: _ClassVar[int]
    LAST_TRADE_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_TRADE_PRICE_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BUY_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SELL_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    LOWER_CIRCUIT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    UPPER_CIRCUIT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    OI_FIELD_NUMBER: _ClassVar[int]
    last_traded_price: float
    last_trade_time: int
    open_price: float
    high_price: float
    closing_price: float
    low_price: float
    volume_traded_today: int
    last_trade_quantity: int
    average_trade_price: float
    book: Book
    total_buy_quantity: int
    total_sell_quantity: int
    lower_circuit_limit: float
    upper_circuit_limit: float
    oi: int
    def __init__(self, last_traded_price: _Optional[float] = ..., last_trade_time: _Optional[int] = ..., open_price: _Optional[float] = ..., high_price: _Optional[float] = ..., closing_price: _Optional[float] = ..., low_price: _Optional[float] = ..., volume_traded_today: _Optional[int] = ..., last_trade_quantity: _Optional[int] = ..., average_trade_price: _Optional[float] = ..., book: _Optional[_Union[Book, _Mapping]] = ..., total_buy_quantity: _Optional[int] = ..., total_sell_quantity: _Optional[int] = ..., lower_circuit_limit: _Optional[float] = ..., upper_circuit_limit: _Optional[float] = ..., oi: _Optional[int] = ...) -> None: ...

class Book(_message.Message):
    __slots__ = ("levels",)
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    levels: _containers.RepeatedCompositeFieldContainer[BookLevel]
    def __init__(self, levels: _Optional[_Iterable[_Union[BookLevel, _Mapping]]] = ...) -> None: ...

class BookLevel(_message.Message):
    __slots__ = ("quantity", "price", "number_of_orders", "buy_flag")
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_OF_ORDERS_FIELD_NUMBER: _ClassVar[int]
    BUY_FLAG_FIELD_NUMBER: _ClassVar[int]
    quantity: int
    price: float
    number_of_orders: int
    buy_flag: bool
    def __init__(self, quantity: _Optional[int] = ..., price: _Optional[float] = ..., number_of_orders: _Optional[int] = ..., buy_flag: bool = ...) -> None: ...

class Index(_message.Message):
    __slots__ = ("index_value", "high_index_value", "low_index_value", "opening_index", "closing_index", "packet_timestamp")
    INDEX_VALUE_FIELD_NUMBER: _ClassVar[int]
    HIGH_INDEX_VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW_INDEX_VALUE_FIELD_NUMBER: _ClassVar[int]
    OPENING_INDEX_FIELD_NUMBER: _ClassVar[int]
    CLOSING_INDEX_FIELD_NUMBER: _ClassVar[int]
    PACKET_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    index_value: float
    high_index_value: float
    low_index_value: float
    opening_index: float
    closing_index: float
    packet_timestamp: int
    def __init__(self, index_value: _Optional[float] = ..., high_index_value: _Optional[float] = ..., low_index_value: _Optional[float] = ..., opening_index: _Optional[float] = ..., closing_index: _Optional[float] = ..., packet_timestamp: _Optional[int] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("order_id", "token_id", "price", "average_price", "trigger_price", "quantity", "fill_quantity", "remaining_quantity", "side", "type", "product_type", "description", "exchange", "segment", "status", "error")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_PRICE_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_PRICE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    FILL_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    REMAINING_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_TYPE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    token_id: int
    price: float
    average_price: float
    trigger_price: float
    quantity: int
    fill_quantity: int
    remaining_quantity: int
    side: int
    type: int
    product_type: int
    description: OrderDescription
    exchange: int
    segment: int
    status: int
    error: OrderError
    def __init__(self, order_id: _Optional[str] = ..., token_id: _Optional[int] = ..., price: _Optional[float] = ..., average_price: _Optional[float] = ..., trigger_price: _Optional[float] = ..., quantity: _Optional[int] = ..., fill_quantity: _Optional[int] = ..., remaining_quantity: _Optional[int] = ..., side: _Optional[int] = ..., type: _Optional[int] = ..., product_type: _Optional[int] = ..., description: _Optional[_Union[OrderDescription, _Mapping]] = ..., exchange: _Optional[int] = ..., segment: _Optional[int] = ..., status: _Optional[int] = ..., error: _Optional[_Union[OrderError, _Mapping]] = ...) -> None: ...

class OrderDescription(_message.Message):
    __slots__ = ("trading_symbol",)
    TRADING_SYMBOL_FIELD_NUMBER: _ClassVar[int]
    trading_symbol: str
    def __init__(self, trading_symbol: _Optional[str] = ...) -> None: ...

class OrderError(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...
