// Headless Chromium for tests and screenshots: Debian's, or the one that CHROMIUM names.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const CANDIDATES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
  "--no-first-run",
];

/** How long anything in a browser may take on a busy machine before it counts as stuck. */
const TIMEOUT_MS = 120_000;

/** A new browser with an empty profile, and with these arguments more. Nothing in it takes longer than so many milliseconds; 0 is no limit. */
export async function launch(more = [], timeout = TIMEOUT_MS) {
  const executablePath = CANDIDATES.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("no Chromium: run tests/browser/setup.sh, or set CHROMIUM");
  const args = [...FLAGS, ...more];
  const browser = await chromium.launch({ executablePath, headless: true, args, timeout });
  const newContext = browser.newContext.bind(browser);
  browser.newContext = async (options) => {
    const context = await newContext(options);
    context.setDefaultTimeout(timeout);
    // A page with a key that nobody has copied asks before it is left.
    context.on("dialog", (dialog) => dialog.accept().catch(() => {}));
    return context;
  };
  return browser;
}

/** Signs in through the page; the next page is there when it returns. */
export async function signIn(page, { url, email, password }) {
  await page.goto(`${url}/sign-in`);
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill(password);
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Sign in" }).click()]);
}
