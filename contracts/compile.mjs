// Compile every contract of this folder into one JSON artifact each: abi, bytecode, deployedBytecode.
//
//   npm ci && node compile.mjs [--out FOLDER]
//
// The output depends on the sources and on the exact compiler alone (no metadata hash, no paths), so
// the artifacts can be rebuilt byte for byte. They go to genesis/artifacts; those of test/ to
// tests/contracts/artifacts and those of bench/ to tools/bench/artifacts.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const flag = process.argv.indexOf("--out");
const out = flag > 0 ? process.argv[flag + 1] : join(here, "..", "genesis", "artifacts");
const repository = join(here, "..");
const folders = {
  test: flag > 0 ? join(out, "test") : join(repository, "tests", "contracts", "artifacts"),
  bench: flag > 0 ? join(out, "bench") : join(repository, "tools", "bench", "artifacts"),
};

const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "prague",
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

function sources(folder) {
  const found = {};
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== "node_modules") Object.assign(found, sources(path));
    else if (entry.name.endsWith(".sol")) found[relative(here, path)] = { content: readFileSync(path, "utf8") };
  }
  return found;
}

const input = { language: "Solidity", sources: sources(here), settings };
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const messages = output.errors ?? [];
for (const message of messages) console.error(message.formattedMessage);
if (messages.length > 0) process.exit(1); // warnings too

mkdirSync(out, { recursive: true });
for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true });
for (const [source, contracts] of Object.entries(output.contracts)) {
  for (const [name, contract] of Object.entries(contracts)) {
    const artifact = {
      contractName: name,
      sourceName: source,
      compiler: solc.version(),
      abi: contract.abi,
      bytecode: "0x" + contract.evm.bytecode.object,
      deployedBytecode: "0x" + contract.evm.deployedBytecode.object,
    };
    const folder = folders[source.split("/")[0]] ?? out;
    writeFileSync(join(folder, `${name}.json`), JSON.stringify(artifact, null, 1) + "\n");
  }
}
