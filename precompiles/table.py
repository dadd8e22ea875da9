"""The only list of native addresses."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from genesis.addresses import INFERENCE, MODEL_REGISTRY
from precompiles.context import NativeAccount
from precompiles.inference import Inference
from precompiles.model_store import ModelStore
from precompiles.registry import call_registry


def native_accounts(store: ModelStore) -> Mapping[bytes, NativeAccount]:
    """Address -> native account, with their caches in ``store``."""
    accounts: dict[bytes, NativeAccount] = {
        INFERENCE: Inference(store),
        MODEL_REGISTRY: call_registry,
    }
    return MappingProxyType(accounts)


MODEL_STORE: Final = ModelStore()
"""The model store of this process."""

NATIVE_ACCOUNTS: Final[Mapping[bytes, NativeAccount]] = native_accounts(MODEL_STORE)
"""The accounts of this process. Their caches are shared by all its threads and change no result."""
