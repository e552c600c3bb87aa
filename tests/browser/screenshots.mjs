// Takes pictures of the main states for the documentation: docs/images/*.png (`make screenshots`).

import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { launch } from "./lib/browser.mjs";
import { start } from "./lib/stack.mjs";
import { fill, tour } from "./lib/states.mjs";

const FOLDER = fileURLToPath(new URL("../../docs/images/", import.meta.url));
// Name of the state, and how it is shown.
const PICTURES = [
  { suffix: "", viewport: { width: 1440, height: 900 }, colorScheme: "light" },
  { suffix: "-dark", viewport: { width: 1440, height: 900 }, colorScheme: "dark", only: ["api-keys", "key", "overview", "reveal", "receipt"] },
  { suffix: "-narrow", viewport: { width: 375, height: 812 }, colorScheme: "light", only: ["api-keys", "key", "overview", "reveal", "receipt"] },
];

await mkdir(FOLDER, { recursive: true });
const [stack, browser] = await Promise.all([start(), launch()]);
try {
  await fill(stack);
  for (const { suffix, only, ...options } of PICTURES) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    await tour(page, stack, async (name) => {
      if (only && !only.includes(name)) return;
      await page.screenshot({ path: `${FOLDER}${name}${suffix}.png`, animations: "disabled" });
    });
    await context.close();
  }
} finally {
  await browser.close();
  await stack.stop();
}
console.log(`pictures are in ${FOLDER}`);
