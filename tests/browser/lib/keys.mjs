// What people do with a key in the list: find its row, open its menu, revoke it. With scripts or without.

/** The row of the key with this name; the first of several. */
export const row = (page, name) => page.getByRole("row").filter({ has: page.getByRole("link", { name, exact: true }) }).first();

/** Chooses a verb in the menu of a key's row. */
export async function choose(page, name, verb, of = row(page, name)) {
  await of.locator("summary").click();
  await of.getByRole("link", { name: verb, exact: true }).click();
}

/** Confirms what a page or a dialog asks. A key that was used within a day asks for its last characters, which it shows. */
export async function confirmRevocation(page) {
  const button = page.getByRole("button", { name: "Revoke key", exact: true });
  await button.waitFor();
  const tail = page.getByLabel("type its last characters");
  if ((await tail.count()) > 0) {
    const hint = await page.locator("label[for=tail] code").innerText();
    await tail.fill(hint.slice(-4));
  }
  await button.click();
}

/** Revokes a key of the list, and waits for its receipt. */
export async function revoke(page, name, of) {
  await choose(page, name, "Revoke", of);
  await confirmRevocation(page);
  await page.getByRole("heading", { name: "Refused on 1 of 1 gateways" }).waitFor();
}
