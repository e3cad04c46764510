"""Where arrays lie, and functions of their parts."""

from ._plan import ShardingPlan
from ._plan_check import PlanCheck
from ._plan_table import PlanTable
from ._presets import ShardingRule, data_parallel, fsdp, pipeline_parallel
from ._shard import filter_device_put, filter_shard
from ._shard_map import filter_shard_map

__all__ = [
    "PlanCheck",
    "PlanTable",
    "ShardingPlan",
    "ShardingRule",
    "data_parallel",
    "filter_device_put",
    "filter_shard",
    "filter_shard_map",
    "fsdp",
    "pipeline_parallel",
]
