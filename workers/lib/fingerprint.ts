/**
 * 128 bits of a text, as hex: four lanes of multiply and xor over its UTF-16 units (FNV's step with murmur's finish). Not
 * cryptographic: it tells a caller's own requests apart, where a forged equal pair harms nobody but the forger. A SHA-256 by
 * the platform costs ten times as much, which is a tenth of the router's part of a batch.
 */
export function fingerprint(text: string): string {
  let a = 0x9e3779b9;
  let b = 0x85ebca6b;
  let c = 0xc2b2ae35;
  let d = 0x27d4eb2f;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit ^ (a >>> 15), 0x85ebca77);
    c = Math.imul(c ^ unit ^ (b >>> 13), 0xc2b2ae3d);
    d = Math.imul(d ^ unit ^ (c >>> 16), 0x27d4eb2d);
  }
  const finish = (h: number, with_: number): string => {
    let x = Math.imul(h ^ (h >>> 16) ^ with_, 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return ((x ^ (x >>> 16)) >>> 0).toString(16).padStart(8, '0');
  };
  return finish(a, d) + finish(b, a) + finish(c, b) + finish(d, c ^ text.length);
}
