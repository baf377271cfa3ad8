import { describe, expect, test } from 'vitest';
import { Contact } from '../../../../client/src/agent/contact.ts';

describe('contact', () => {
  test('unheard for 15 s, work stops half a second earlier', () => {
    let now = 0;
    const contact = new Contact(() => now);
    expect(contact.leftMs).toBe(14_500);
    now = 10_000;
    contact.heard(9_000);
    expect(contact.leftMs).toBe(13_500);
    expect(contact.silentMs).toBe(1_000);
    now = 23_600;
    expect(contact.leftMs).toBe(0);
  });

  test('an older answer does not turn the clock back', () => {
    let now = 10_000;
    const contact = new Contact(() => now);
    contact.heard(3_000);
    now = 11_000;
    expect(contact.silentMs).toBe(1_000);
  });

  test('from a close the fleet waits 5 s, however late it was heard', () => {
    let now = 0;
    const contact = new Contact(() => now);
    now = 1_000;
    contact.closed();
    expect(contact.leftMs).toBe(4_500);
    now = 3_000;
    contact.closed();
    expect(contact.leftMs).toBe(2_500);
    contact.opened(3_000);
    expect(contact.leftMs).toBe(14_500);
  });

  test('a close long after the last answer leaves what that leaves', () => {
    let now = 0;
    const contact = new Contact(() => now);
    now = 12_500;
    contact.closed();
    expect(contact.leftMs).toBe(2_000);
  });
});
