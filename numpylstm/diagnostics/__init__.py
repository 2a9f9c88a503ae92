"""Instruments that look into a network while it learns, and measure what it can do."""

from numpylstm.diagnostics.horizon import Horizon, HorizonPoint, memory_horizon
from numpylstm.diagnostics.probe import Probe, probe

__all__ = ["Horizon", "HorizonPoint", "Probe", "memory_horizon", "probe"]
