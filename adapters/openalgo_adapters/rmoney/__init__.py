"""RMoney: XTS with JSON events. The interactive app finds its host before it logs in.

(conflict: one document subscribes with PUT, and one has an index list under the binary prefix.)
"""

from openalgo_adapters._xts.broker import EQUITY, xts_adapter
from openalgo_adapters._xts.codec import Host
from openalgo_adapters._xts.events import TOUCH
from openalgo_adapters.rmoney.login import interactive_login
from openalgo_adapters.rmoney.simulator import RmoneyServer

__all__ = ["adapter"]

adapter = xts_adapter(
    name="rmoney",
    title="RMoney",
    # (conflict: a document subscribes 1512 for last prices, which the peer found unreliable.)
    host=Host(name="xts.rmoneyindia.co.in:3000", price_code=TOUCH),
    # (unverified: whether other segments of the family are offered.)
    exchanges=EQUITY,
    simulator=RmoneyServer,
    orders_login=interactive_login,
)
