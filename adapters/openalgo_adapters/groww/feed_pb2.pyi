from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LivePrice(_message.Message):
    __slots__ = ("tsInMillis", "open", "high", "low", "close", "volume", "avgPrice", "highPriceRange", "lowPriceRange", "ltp", "openInterest")
    TSINMILLIS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    AVGPRICE_FIELD_NUMBER: _ClassVar[int]
    HIGHPRICERANGE_FIELD_NUMBER: _ClassVar[int]
    LOWPRICERANGE_FIELD_NUMBER: _ClassVar[int]
    LTP_FIELD_NUMBER: _ClassVar[int]
    OPENINTEREST_FIELD_NUMBER: _ClassVar[int]
    tsInMillis: float
    open: float
    high: float
    low: float
    close: float
    volume: float
    avgPrice: float
    highPriceRange: float
    lowPriceRange: float
    ltp: float
    openInterest: float
    def __init__(self, tsInMillis: _Optional[float] = ..., open: _Optional[float] = ..., high: _Optional[float] = ..., low: _Optional[float] = ..., close: _Optional[float] = ..., volume: _Optional[float] = ..., avgPrice: _Optional[float] = ..., highPriceRange: _Optional[float] = ..., lowPriceRange: _Optional[float] = ..., ltp: _Optional[float] = ..., openInterest: _Optional[float] = ...) -> None: ...

class LiveIndex(_message.Message):
    __slots__ = ("tsInMillis", "value")
    TSINMILLIS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    tsInMillis: float
    value: float
    def __init__(self, tsInMillis: _Optional[float] = ..., value: _Optional[float] = ...) -> None: ...

class Level(_message.Message):
    __slots__ = ("price", "qty")
    PRICE_FIELD_NUMBER: _ClassVar[int]
    QTY_FIELD_NUMBER: _ClassVar[int]
    price: float
    qty: float
    def __init__(self, price: _Optional[float] = ..., qty: _Optional[float] = ...) -> None: ...

class MarketDepth(_message.Message):
    __slots__ = ("tsInMillis", "buyBook", "sellBook")
    class BuyBookEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: Level
        def __init__(self, key: _Optional[int] = ..., value: _Optional[_Union[Level, _Mapping]] = ...) -> None: ...
    class SellBookEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: Level
        def __init__(self, key: _Optional[int] = ..., value: _Optional[_Union[Level, _Mapping]] = ...) -> None: ...
    TSINMILLIS_FIELD_NUMBER: _ClassVar[int]
    BUYBOOK_FIELD_NUMBER: _ClassVar[int]
    SELLBOOK_FIELD_NUMBER: _ClassVar[int]
    tsInMillis: float
    buyBook: _containers.MessageMap[int, Level]
    sellBook: _containers.MessageMap[int, Level]
    def __init__(self, tsInMillis: _Optional[float] = ..., buyBook: _Optional[_Mapping[int, Level]] = ..., sellBook: _Optional[_Mapping[int, Level]] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("stockLivePrice", "stocksMarketDepth", "stocksLiveIndices")
    STOCKLIVEPRICE_FIELD_NUMBER: _ClassVar[int]
    STOCKSMARKETDEPTH_FIELD_NUMBER: _ClassVar[int]
    STOCKSLIVEINDICES_FIELD_NUMBER: _ClassVar[int]
    stockLivePrice: LivePrice
    stocksMarketDepth: MarketDepth
    stocksLiveIndices: LiveIndex
    def __init__(self, stockLivePrice: _Optional[_Union[LivePrice, _Mapping]] = ..., stocksMarketDepth: _Optional[_Union[MarketDepth, _Mapping]] = ..., stocksLiveIndices: _Optional[_Union[LiveIndex, _Mapping]] = ...) -> None: ...

class OrderDetail(_message.Message):
    __slots__ = ("qty", "price", "triggerPrice", "filledQty", "remainingQty", "avgFillPrice", "growwOrderId", "orderStatus", "exchange", "segment", "product", "orderType", "buySell", "remark", "contractId")
    QTY_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    TRIGGERPRICE_FIELD_NUMBER: _ClassVar[int]
    FILLEDQTY_FIELD_NUMBER: _ClassVar[int]
    REMAININGQTY_FIELD_NUMBER: _ClassVar[int]
    AVGFILLPRICE_FIELD_NUMBER: _ClassVar[int]
    GROWWORDERID_FIELD_NUMBER: _ClassVar[int]
    ORDERSTATUS_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    ORDERTYPE_FIELD_NUMBER: _ClassVar[int]
    BUYSELL_FIELD_NUMBER: _ClassVar[int]
    REMARK_FIELD_NUMBER: _ClassVar[int]
    CONTRACTID_FIELD_NUMBER: _ClassVar[int]
    qty: int
    price: int
    triggerPrice: int
    filledQty: int
    remainingQty: int
    avgFillPrice: int
    growwOrderId: str
    orderStatus: int
    exchange: int
    segment: int
    product: int
    orderType: int
    buySell: int
    remark: str
    contractId: str
    def __init__(self, qty: _Optional[int] = ..., price: _Optional[int] = ..., triggerPrice: _Optional[int] = ..., filledQty: _Optional[int] = ..., remainingQty: _Optional[int] = ..., avgFillPrice: _Optional[int] = ..., growwOrderId: _Optional[str] = ..., orderStatus: _Optional[int] = ..., exchange: _Optional[int] = ..., segment: _Optional[int] = ..., product: _Optional[int] = ..., orderType: _Optional[int] = ..., buySell: _Optional[int] = ..., remark: _Optional[str] = ..., contractId: _Optional[str] = ...) -> None: ...

class OrderBroadcast(_message.Message):
    __slots__ = ("orderDetailUpdateDto",)
    ORDERDETAILUPDATEDTO_FIELD_NUMBER: _ClassVar[int]
    orderDetailUpdateDto: OrderDetail
    def __init__(self, orderDetailUpdateDto: _Optional[_Union[OrderDetail, _Mapping]] = ...) -> None: ...
