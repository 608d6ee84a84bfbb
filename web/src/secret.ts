/** Secrets that come in the fragment of an address: taken from there at once and kept for this tab only. */

/** Keep `given` under `name` and clean the address bar; without it, the one kept earlier, or null. */
export function takeSecret(name: string, given: string): string | null {
  if (given !== "") {
    keepSecret(name, given);
    history.replaceState(history.state, "", location.pathname + location.search);
    return given;
  }
  try {
    return sessionStorage.getItem(storageKey(name));
  } catch {
    return null; // storage is forbidden: the address has to be opened again
  }
}

export function keepSecret(name: string, secret: string): void {
  try {
    sessionStorage.setItem(storageKey(name), secret);
  } catch {
    // It then lives as long as the page.
  }
}

export function dropSecret(name: string): void {
  try {
    sessionStorage.removeItem(storageKey(name));
  } catch {
    // Nothing was kept.
  }
}

function storageKey(name: string): string {
  return `penstock.${name}`;
}
