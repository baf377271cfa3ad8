/**
 * A fresh idempotency key: a UUID of version 7, which begins with the time. Keys made one after the other then lie next
 * to each other in the fleet's index, which random ones would scatter over all of it.
 */
export function newKey(): string {
  const time = Date.now().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8, 12)}-7${crypto.randomUUID().slice(15)}`;
}
