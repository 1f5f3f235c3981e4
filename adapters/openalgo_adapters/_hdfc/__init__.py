"""What HDFC Sky and HDFC Securities (InvestRight) share: one feed protocol on two hosts.

`codec` and its messages (`feed.proto`), `orders`, the declarations both make alike (`broker`), the
server's side (`simulator`). Limits, hosts and instrument masters are each broker's own.
"""
