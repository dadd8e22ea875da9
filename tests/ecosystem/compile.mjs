// Compile the contracts of this folder, and of OpenZeppelin what they inherit, with the newest rules that
// the compiler knows; print {contract: {abi, bytecode, evmVersion}} as JSON.
//
//   npm ci --ignore-scripts && node compile.mjs [--via-ir]
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const read = (path) => ({ content: readFileSync(path, "utf8") });
const sources = Object.fromEntries(
  readdirSync(join(here, "contracts")).sort().map((name) => [name, read(join(here, "contracts", name))]),
);
const input = {
  language: "Solidity",
  sources,
  settings: {
    optimizer: { enabled: true, runs: 200 },
    viaIR: process.argv.includes("--via-ir"),
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "metadata"] } },
  },
};
const found = (path) => ({ contents: readFileSync(join(here, "node_modules", path), "utf8") });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: found }));
const failures = (output.errors ?? []).filter((message) => message.severity === "error");
for (const failure of failures) console.error(failure.formattedMessage);
if (failures.length > 0) process.exit(1);

const artifacts = {};
for (const contracts of Object.values(output.contracts)) {
  for (const [name, contract] of Object.entries(contracts)) {
    const bytecode = contract.evm.bytecode.object;
    const evmVersion = contract.metadata ? JSON.parse(contract.metadata).settings.evmVersion : "";
    artifacts[name] = { abi: contract.abi, bytecode: "0x" + bytecode, evmVersion };
  }
}
process.stdout.write(JSON.stringify(artifacts));
