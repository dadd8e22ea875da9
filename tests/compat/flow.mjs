// Shared by the JavaScript flows: arguments, artifact, step counter.
//
//   node NAME.mjs HTTP-URL WS-URL PRIVATE-KEY
import { readFileSync } from "node:fs";

export const [rpcUrl, wsUrl, privateKey] = process.argv.slice(2);
export const { abi, bytecode } = JSON.parse(readFileSync(new URL("Counter.json", import.meta.url)));
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
export const randomAddress = () =>
  "0x" + Array.from(crypto.getRandomValues(new Uint8Array(20)), (b) => b.toString(16).padStart(2, "0")).join("");

let failures = 0;

export function assert(ok, text) {
  if (!ok) throw new Error("check failed: " + text);
}

function within(promise, ms) {
  let timer;
  const late = new Promise((_, no) => {
    timer = setTimeout(() => no(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Run one step and report it; gives back its value. */
export async function step(name, run) {
  try {
    const value = await within(run(), 30_000);
    console.log("ok  ", name);
    return value;
  } catch (error) {
    failures += 1;
    const text = String(error.shortMessage || error.message || error);
    console.log("FAIL", name, "-", text.slice(0, 400).replaceAll("\n", " "));
    return undefined;
  }
}

/** A step that passes when `run` throws an error that `match` accepts. */
export const fails = (name, run, match) =>
  step(name, async () => {
    try {
      await run();
    } catch (error) {
      assert(match(error), "another error: " + (error.shortMessage || error.message));
      return;
    }
    throw new Error("no error");
  });

/** Wait until `seen()` is true. */
export async function until(seen) {
  for (let waited = 0; waited < 10_000; waited += 50) {
    if (seen()) return;
    await sleep(50);
  }
  throw new Error("nothing seen within 10 s");
}

export function finish() {
  console.log(failures ? `${failures} steps failed` : "all steps passed");
  process.exit(failures ? 1 : 0);
}
