import { mkdtempSync, rmSync } from 'node:fs';
import { Runtime } from './memory/runtime.ts';
const entries = Number(process.argv[2] ?? 10000); const rounds = Number(process.argv[3] ?? 3);
const dir = mkdtempSync('/dev/shm/bm-');
const r = await Runtime.start(await Runtime.bundle(), dir, 16);
try {
  for (const e of ['native', 'sealed']) { const t = performance.now(); for (let i = 0; i < entries; i += 5000) await r.call('/fill', { object: e, from: i, to: Math.min(entries, i + 5000) }); console.log(e, 'fill', Math.round(performance.now() - t), await r.call('/stats', { object: e })); }
  const res: any = {};
  for (let k = 0; k < rounds; k++) for (const [op, n] of [['none', 3000], ['none-put', 300], ['none-batch', 5], ['get', 3000], ['list', 300], ['put', 300], ['batch', 5]] as const) for (const e of ['native', 'sealed']) {
    const c = r.cpuUs(); const t = performance.now(); await r.call('/run', { object: e, op, count: n, entries }); const w = (performance.now() - t) * 1000 / n; (res[op] ??= {}); (res[op][e] ??= []).push([(r.cpuUs() - c) / n, w]);
  }
  const med = (a: number[]) => a.sort((x, y) => x - y)[a.length >> 1]!;
  for (const op in res) { const n = med(res[op].native.map((x: any) => x[0])), s = med(res[op].sealed.map((x: any) => x[0])); console.log(op.padEnd(10), 'cpu native', n.toFixed(1), 'sealed', s.toFixed(1), 'ratio', (n / s).toFixed(2), 'wall', med(res[op].native.map((x: any) => x[1])).toFixed(1), med(res[op].sealed.map((x: any) => x[1])).toFixed(1)); }
  console.log(await r.call('/stats', { object: 'sealed' }), r.residentMb());
} finally { await r.stop(); rmSync(dir, { recursive: true }); }
