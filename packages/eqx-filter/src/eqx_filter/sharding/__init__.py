"""Where arrays lie, and functions of their parts."""

from ._shard import filter_device_put, filter_shard
from ._shard_map import filter_shard_map

__all__ = [
    "filter_device_put",
    "filter_shard",
    "filter_shard_map",
]
