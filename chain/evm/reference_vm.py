"""py-evm's virtual machines, one per fork: the second implementation that ours is held to.

They run as their authors ship them (0.12.1b1) but for what would be a false alarm on valid blocks:

* MODEXP with a base of length 0 gave 0 for 0 ** 0, which is 1 (EIP-198);
* an account with storage only was not in the way of a creation (EIP-7610);
* a CREATE by the transaction's own sender, delegated, paid its initcode twice (EIP-7702);
* blob fees come from the chain's schedule, not from a constant (EIP-7840);
* Osaka is unknown to them: Prague with CLZ, P256VERIFY and the new MODEXP.
"""

from collections.abc import Mapping
from typing import Any, Final

from eth.constants import BLANK_ROOT_HASH
from eth.vm import forks

from chain.evm.reference_natives import adapted
from chain.evm.reference_osaka import (
    CLZ,
    Precompile,
    clz_opcode,
    modexp_corrected,
    modexp_osaka,
    p256verify,
)
from genesis.forks import Fork
from precompiles.context import NativeAccount

_MACHINES: Final = {
    Fork.FRONTIER: forks.FrontierVM,
    Fork.HOMESTEAD: forks.HomesteadVM,
    Fork.TANGERINE_WHISTLE: forks.TangerineWhistleVM,
    Fork.SPURIOUS_DRAGON: forks.SpuriousDragonVM,
    Fork.BYZANTIUM: forks.ByzantiumVM,
    Fork.CONSTANTINOPLE: forks.ConstantinopleVM,
    Fork.PETERSBURG: forks.PetersburgVM,
    Fork.ISTANBUL: forks.IstanbulVM,
    Fork.MUIR_GLACIER: forks.MuirGlacierVM,
    Fork.BERLIN: forks.BerlinVM,
    Fork.LONDON: forks.LondonVM,
    Fork.ARROW_GLACIER: forks.ArrowGlacierVM,
    Fork.GRAY_GLACIER: forks.GrayGlacierVM,
    Fork.PARIS: forks.ParisVM,
    Fork.SHANGHAI: forks.ShanghaiVM,
    Fork.CANCUN: forks.CancunVM,
    Fork.PRAGUE: forks.PragueVM,
    Fork.OSAKA: forks.PragueVM,
}
_MODEXP: Final = (5).to_bytes(20, "big")
_P256VERIFY: Final = (0x100).to_bytes(20, "big")


def machine_class(fork: Fork, natives: Mapping[bytes, NativeAccount], blob_base_fee: int) -> Any:
    """py-evm's VM class of a fork.

    Args:
        fork: rules of the block.
        natives: accounts of this chain that run native code.
        blob_base_fee: wei per blob gas in the block.
    """
    stock = _MACHINES[fork]
    own = {address: adapted(address, account) for address, account in natives.items()}
    fields = {
        "computation_class": _computation_class(fork, stock._state_class.computation_class, own),
        "has_code_or_nonce": _has_code_or_nonce,
        "blob_base_fee": blob_base_fee,
    }
    state = type("ReferenceState", (stock._state_class,), fields)
    return type("ReferenceVM", (stock,), {"_state_class": state})


def _computation_class(fork: Fork, stock: Any, natives: Mapping[bytes, Precompile]) -> Any:
    table = dict(stock._precompiles)
    if fork >= Fork.OSAKA:
        table |= {_MODEXP: modexp_osaka, _P256VERIFY: p256verify}
    elif fork >= Fork.BYZANTIUM:
        table[_MODEXP] = modexp_corrected(table[_MODEXP])
    fields: dict[str, Any] = {
        "_precompiles": table | dict(natives),
        "is_origin_computation": property(lambda computation: computation.msg.depth == 0),
    }
    if fork >= Fork.OSAKA:
        fields["opcodes"] = stock.opcodes | {CLZ: clz_opcode()}
    return type("ReferenceComputation", (stock,), fields)


def _has_code_or_nonce(state: Any, address: bytes) -> bool:
    """Whether something is in the way of a creation (EIP-684, EIP-7610)."""
    accounts = state._account_db
    if accounts.account_has_code_or_nonce(address):
        return True
    return bool(accounts._get_storage_root(address) != BLANK_ROOT_HASH)
