// ethers 6 over HTTP and WebSocket.
import { ethers } from "ethers";
import { abi, assert, bytecode, fails, finish, privateKey, randomAddress, rpcUrl, sleep, step, until, wsUrl } from "./flow.mjs";

const provider = new ethers.JsonRpcProvider(rpcUrl, undefined, { cacheTimeout: -1 });
provider.pollingInterval = 100;
const wallet = new ethers.Wallet(privateKey, provider);
const to = randomAddress();

const counter = await step("deploy", async () => {
  const deployed = await new ethers.ContractFactory(abi, bytecode, wallet).deploy(3n);
  return deployed.waitForDeployment();
});
if (!counter) finish();
const address = await counter.getAddress();
const deployment = await counter.deploymentTransaction().wait();
const start = deployment.blockNumber;
const set = async (n) => (await counter.set(n)).wait();
const pay = async (fields = {}) => (await wallet.sendTransaction({ to, value: 1n, ...fields })).wait();

await step("call", async () => assert((await counter.number()) === 3n, "number"));
await fails("call: custom error", () => counter.set.staticCall(5000n), (e) => e.code === "CALL_EXCEPTION" && e.revert?.name === "TooBig");
await fails("call: reason", () => counter.set.staticCall(13n), (e) => e.code === "CALL_EXCEPTION" && e.reason === "unlucky");
await fails("call: panic", () => counter.boom(), (e) => e.code === "CALL_EXCEPTION" && e.revert?.name === "Panic");
await step("send and wait", async () => {
  const receipt = await set(5n);
  assert(receipt.status === 1 && receipt.logs.length === 1, "receipt");
  assert((await counter.number()) === 5n, "number");
});
await fails("estimate: custom error", () => counter.set(5000n), (e) => e.code === "CALL_EXCEPTION" && counter.interface.parseError(e.data)?.name === "TooBig");
await fails("mined revert", async () => (await counter.set(5000n, { gasLimit: 100000n })).wait(), (e) => e.code === "CALL_EXCEPTION" && e.receipt?.status === 0);
await fails("insufficient funds", () => pay({ value: 10n ** 30n, gasLimit: 21000n }), (e) => e.code === "INSUFFICIENT_FUNDS");
await fails("nonce too low", () => pay({ nonce: 0, gasLimit: 21000n }), (e) => e.code === "NONCE_EXPIRED");
await step("type 0", () => pay({ type: 0 }));
await step("type 1", () => pay({ type: 1, accessList: [] }));
await step("type 4 (EIP-7702)", async () => {
  const delegate = async (target) => {
    const nonce = (await wallet.getNonce()) + 1;
    const { chainId } = await provider.getNetwork();
    const authorization = await wallet.authorize({ address: target, nonce, chainId });
    await pay({ to: wallet.address, type: 4, authorizationList: [authorization], gasLimit: 200000n });
  };
  await delegate(address);
  assert((await provider.getCode(wallet.address)).startsWith("0xef0100"), "delegation code");
  await delegate(ethers.ZeroAddress);
  assert((await provider.getCode(wallet.address)) === "0x", "delegation removed");
});
await step("estimateGas", async () => assert((await counter.set.estimateGas(6n)) > 21000n, "gas"));
await step("getFeeData", async () => assert((await provider.getFeeData()).maxFeePerGas > 0n, "maxFeePerGas"));
await step("getBlock with transactions", async () => {
  const block = await provider.getBlock(start, true);
  assert(block.prefetchedTransactions.some((tx) => tx.hash === deployment.hash), "transaction in block");
});
for (const tag of ["latest", "safe", "finalized", "pending", "earliest"])
  await step("getBlock " + tag, async () => assert(await provider.getBlock(tag), "block"));
await step("getTransaction", async () => assert((await provider.getTransaction(deployment.hash)).blockNumber === start, "blockNumber"));
await step("getTransactionReceipt", async () => assert((await provider.getTransactionReceipt(deployment.hash)).contractAddress === address, "contractAddress"));
await step("unknown receipt is null", async () => assert((await provider.getTransactionReceipt("0x" + "11".repeat(32))) === null, "null"));
await step("queryFilter", async () => assert((await counter.queryFilter("Set", start)).length === 1, "one log"));
await step("getLogs", async () => assert((await provider.getLogs({ address, fromBlock: start })).length === 1, "one log"));
await step("storage, code, balance, nonce", async () => {
  assert(BigInt(await provider.getStorage(address, 0)) === 5n, "slot 0");
  assert((await provider.getCode(address)).length > 100, "code");
  assert((await provider.getBalance(to)) > 0n, "balance");
  assert((await provider.getTransactionCount(wallet.address, "pending")) > 5, "nonce");
});

const watch = (name, source, start, act) =>
  step(name, async () => {
    let seen = 0;
    await start(source, () => (seen += 1));
    await sleep(300);
    await act();
    await until(() => seen > 0);
    await source.removeAllListeners();
  });
const onSet = (source, hit) => new ethers.Contract(address, abi, source).on("Set", hit);
const socket = new ethers.WebSocketProvider(wsUrl);
for (const [kind, source] of [["polling", provider], ["ws", socket]]) {
  await watch(`${kind}: block`, source, (p, hit) => p.on("block", hit), pay);
  await watch(`${kind}: event`, source, onSet, () => set(8n));
  await watch(`${kind}: pending`, source, (p, hit) => p.on("pending", hit), pay);
}
await step("ws: getBlockNumber", () => socket.getBlockNumber());
finish();
