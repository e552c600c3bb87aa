// Takes pictures of the main states for the documentation: docs/images/*.png (`make screenshots`). With names it takes only those:
// `node screenshots.mjs key-dark receipt`. Nothing has a limit of time: a busy machine takes longer.

import { mkdir, rename } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { launch } from "./lib/browser.mjs";
import { start } from "./lib/stack.mjs";
import { fill, tour } from "./lib/states.mjs";

const FOLDER = fileURLToPath(new URL("../../docs/images/", import.meta.url));
const WIDE = { width: 1440, height: 900 };
const MAIN = ["api-keys", "key", "overview", "reveal", "receipt"];
// How a state is shown, what that adds to its name, and which states are.
const LOOKS = [
  { suffix: "", viewport: WIDE, colorScheme: "light" },
  { suffix: "-dark", viewport: WIDE, colorScheme: "dark", only: MAIN },
  { suffix: "-narrow", viewport: { width: 375, height: 812 }, colorScheme: "light", only: MAIN },
];
const wanted = new Set(process.argv.slice(2));
const taken = [];

/** One picture. The old one stays until the new one is whole. */
async function take(page, name, { viewport, colorScheme }) {
  await page.setViewportSize(viewport);
  await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  await page.evaluate(() => document.fonts.ready.then(() => scrollTo(0, 0)));
  const path = `${FOLDER}${name}.png`;
  await page.screenshot({ path: `${path}.part`, type: "png", animations: "disabled" });
  await rename(`${path}.part`, path);
  taken.push(name);
}

await mkdir(FOLDER, { recursive: true });
const [stack, browser] = await Promise.all([start(Infinity), launch([], 0)]);
try {
  await fill(stack);
  const page = await (await browser.newContext({ viewport: WIDE })).newPage();
  await tour(page, stack, async (name) => {
    for (const look of LOOKS) {
      if (look.only && !look.only.includes(name)) continue;
      const full = `${name}${look.suffix}`;
      if (wanted.size === 0 || wanted.has(full)) await take(page, full, look);
    }
    await page.setViewportSize(WIDE);
    await page.emulateMedia({ colorScheme: "light" });
  });
} finally {
  await browser.close();
  await stack.stop();
}
const missing = [...wanted].filter((name) => !taken.includes(name));
if (missing.length > 0) throw new Error(`no such picture: ${missing.join(", ")}`);
console.log(`${taken.length} pictures are in ${FOLDER}`);
