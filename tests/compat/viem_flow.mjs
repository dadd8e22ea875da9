// viem 2 over HTTP and WebSocket.
import { BaseError, ContractFunctionRevertedError, InsufficientFundsError, MethodNotFoundRpcError, NonceTooLowError, createPublicClient, createWalletClient, defineChain, http, webSocket } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { abi, assert, bytecode, fails, finish, privateKey, randomAddress, rpcUrl, sleep, step, until, wsUrl } from "./flow.mjs";

const transport = http(rpcUrl, { retryCount: 0, timeout: 20_000 });
const id = await createPublicClient({ transport }).getChainId();
const chain = defineChain({
  id,
  name: "chain under test",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [rpcUrl], webSocket: [wsUrl] } },
});
const account = privateKeyToAccount(privateKey);
const pub = createPublicClient({ chain, transport, pollingInterval: 100, cacheTime: 0 });
const wallet = createWalletClient({ chain, account, transport });
const to = randomAddress();
const is = (kind) => (error) => error instanceof BaseError && Boolean(error.walk((e) => e instanceof kind));
const reverted = (error) => error.walk((e) => e instanceof ContractFunctionRevertedError);
const mined = async (hash) => {
  const receipt = await pub.waitForTransactionReceipt({ hash, timeout: 20_000 });
  assert(receipt.status === "success", "receipt status");
  return receipt;
};

const receipt = await step("deployContract and wait", async () => mined(await wallet.deployContract({ abi, bytecode, args: [3n] })));
if (!receipt) finish();
const address = receipt.contractAddress;
const contract = { address, abi };
const set = async (n) => mined(await wallet.writeContract({ ...contract, functionName: "set", args: [n] }));
const pay = async (fields = {}) => mined(await wallet.sendTransaction({ to, value: 1n, ...fields }));

await step("readContract", async () => assert((await pub.readContract({ ...contract, functionName: "number" })) === 3n, "number"));
await step("simulateContract", () => pub.simulateContract({ ...contract, functionName: "set", args: [5n], account }));
await fails("simulate: custom error", () => pub.simulateContract({ ...contract, functionName: "set", args: [5000n], account }), (e) => reverted(e)?.data?.errorName === "TooBig");
await fails("simulate: reason", () => pub.simulateContract({ ...contract, functionName: "set", args: [13n], account }), (e) => reverted(e)?.reason === "unlucky");
await fails("read: panic", () => pub.readContract({ ...contract, functionName: "boom" }), is(ContractFunctionRevertedError));
const written = await step("writeContract", async () => {
  const done = await set(6n);
  assert((await pub.readContract({ ...contract, functionName: "number" })) === 6n, "number");
  return done;
});
await step("type 2", async () => {
  await pay();
  assert((await pub.getBalance({ address: to })) === 1n, "balance");
});
await step("type 0", () => pay({ type: "legacy" }));
await step("type 1", () => pay({ type: "eip2930", accessList: [] }));
await step("sendTransactionSync", async () => assert((await wallet.sendTransactionSync({ to, value: 1n })).status === "success", "status"));
await step("type 4 (EIP-7702)", async () => {
  const delegate = async (contractAddress) => {
    const authorization = await wallet.signAuthorization({ contractAddress, executor: "self" });
    await pay({ authorizationList: [authorization], gas: 200_000n });
  };
  await delegate(address);
  assert((await pub.getCode({ address: account.address }))?.toLowerCase() === "0xef0100" + address.slice(2).toLowerCase(), "delegation code");
  await delegate("0x0000000000000000000000000000000000000000");
  assert(!(await pub.getCode({ address: account.address })), "delegation removed");
});
await fails("insufficient funds", () => pay({ value: 10n ** 30n, gas: 21000n }), is(InsufficientFundsError));
await fails("nonce too low", () => pay({ gas: 21000n, nonce: 0, maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n }), is(NonceTooLowError));
await fails("unknown method", () => pub.request({ method: "eth_noSuchMethod" }), is(MethodNotFoundRpcError));
await step("prepareTransactionRequest", () => wallet.prepareTransactionRequest({ to, value: 1n }));
await step("estimateContractGas", () => pub.estimateContractGas({ ...contract, functionName: "set", args: [5n], account }));
await step("estimateFeesPerGas", async () => assert((await pub.estimateFeesPerGas()).maxFeePerGas > 0n, "maxFeePerGas"));
await step("gas price, tip, blob base fee", () => Promise.all([pub.getGasPrice(), pub.estimateMaxPriorityFeePerGas(), pub.getBlobBaseFee()]));
await step("getFeeHistory", async () => {
  const history = await pub.getFeeHistory({ blockCount: 4, rewardPercentiles: [25, 75] });
  assert(history.baseFeePerGas.length === history.gasUsedRatio.length + 1 && history.reward[0].length === 2, "lengths");
});
await step("getBlock with transactions", async () => {
  const block = await pub.getBlock({ blockNumber: receipt.blockNumber, includeTransactions: true });
  assert(block.transactions.some((tx) => tx.hash === receipt.transactionHash), "transaction in block");
});
for (const blockTag of ["latest", "safe", "finalized", "pending", "earliest"]) await step("getBlock " + blockTag, () => pub.getBlock({ blockTag }));
await step("getTransaction", async () => {
  const tx = await pub.getTransaction({ hash: written.transactionHash });
  assert(tx.chainId === id && tx.blockNumber > 0n, "fields");
});
await step("getTransactionConfirmations", () => pub.getTransactionConfirmations({ hash: written.transactionHash }));
await step("getContractEvents with topic", async () => {
  const events = await pub.getContractEvents({ ...contract, eventName: "Set", args: { who: account.address }, fromBlock: receipt.blockNumber });
  assert(events.length === 1 && events[0].args.value === 6n, "one log");
});
await step("multicall (deployless call)", async () => {
  const calls = [{ ...contract, functionName: "number" }, { ...contract, functionName: "add", args: [1n, 2n] }];
  const results = await pub.multicall({ deployless: true, contracts: calls });
  assert(results[0].result === 6n && results[1].result === 3n, "results");
});
await step("call with stateOverride", async () => {
  const stateDiff = [{ slot: "0x" + "0".repeat(64), value: "0x" + "0".repeat(63) + "9" }];
  const answer = await pub.call({ to: address, data: "0x8381f58a", stateOverride: [{ address, stateDiff }] });
  assert(BigInt(answer.data) === 9n, "value");
});
await step("createAccessList", async () => {
  const { accessList } = await pub.createAccessList({ account, to: address, data: "0x8381f58a" });
  assert(accessList[0].storageKeys.length === 1, "slot 0");
});
await step("getProof", async () => {
  const proof = await pub.getProof({ address, storageKeys: ["0x" + "0".repeat(64)] });
  assert(proof.storageProof[0].value === 6n, "value");
});
await step("getStorageAt", async () => assert(BigInt(await pub.getStorageAt({ address, slot: "0x0" })) === 6n, "value"));
await step("batch transport", async () => {
  const batched = createPublicClient({ chain, transport: http(rpcUrl, { batch: true }) });
  await Promise.all([batched.getBlockNumber({ cacheTime: 0 }), batched.getBalance({ address: to }), batched.getChainId()]);
});

const watch = (name, start, act) =>
  step(name, async () => {
    let seen = 0;
    const stop = start((count) => (seen += count));
    await sleep(300);
    await act();
    await until(() => seen > 0);
    stop();
  });
await watch("watchBlocks", (hit) => pub.watchBlocks({ onBlock: () => hit(1) }), pay);
await watch("watchContractEvent (filter)", (hit) => pub.watchContractEvent({ ...contract, eventName: "Set", onLogs: (logs) => hit(logs.length) }), () => set(8n));
await watch("watchPendingTransactions (filter)", (hit) => pub.watchPendingTransactions({ onTransactions: (hashes) => hit(hashes.length) }), pay);
const ws = createPublicClient({ chain, transport: webSocket(wsUrl, { retryCount: 0, reconnect: false }) });
await step("ws: getBlockNumber", () => ws.getBlockNumber());
await watch("ws: newHeads", (hit) => ws.watchBlocks({ onBlock: () => hit(1) }), pay);
await watch("ws: logs", (hit) => ws.watchEvent({ onLogs: (logs) => hit(logs.length) }), () => set(10n));
await watch("ws: newPendingTransactions", (hit) => ws.watchPendingTransactions({ onTransactions: (hashes) => hit(hashes.length) }), pay);
finish();
