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

/** A new browser with an empty profile, and with these arguments more. */
export function launch(more = []) {
  const executablePath = CANDIDATES.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("no Chromium: run tests/browser/setup.sh, or set CHROMIUM");
  return chromium.launch({ executablePath, headless: true, args: [...FLAGS, ...more] });
}

/** Signs in through the page. */
export async function signIn(page, { url, email, password }) {
  await page.goto(`${url}/sign-in`);
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}
