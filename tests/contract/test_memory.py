"""The reference adapter keeps the contract, in each of its three kinds of calendar."""

from __future__ import annotations

from functools import partial

from tests.contract.suite import ProviderContract
from tests.contract.world import ALL_TRICKS
from tests.memory_world import memory_world

from gleichtakt.providers.memory import LossyMemory, Memory, NormalisingMemory


class TestMemory(ProviderContract):
    start = staticmethod(memory_world)
    abilities = Memory.abilities
    tricks = ALL_TRICKS


class TestLossyMemory(ProviderContract):
    start = staticmethod(partial(memory_world, "lossy"))
    abilities = LossyMemory.abilities
    tricks = ALL_TRICKS


class TestNormalisingMemory(ProviderContract):
    start = staticmethod(partial(memory_world, "normalising"))
    abilities = NormalisingMemory.abilities
    tricks = ALL_TRICKS
