import pg from 'pg';

const SCHEMA = `
  CREATE TABLE agents (id text PRIMARY KEY, pool text NOT NULL, caps text[] NOT NULL, status text NOT NULL DEFAULT 'idle',
    released_at bigint NOT NULL DEFAULT 0, fence bigint, lease text, expires_at bigint) WITH (fillfactor = 50);
  CREATE INDEX agents_idle ON agents (pool, released_at) WHERE status = 'idle';
  CREATE UNIQUE INDEX agents_lease ON agents (lease) WHERE lease IS NOT NULL;
  CREATE SEQUENCE fence`;

const ALLOCATE = `
  WITH chosen AS (
    SELECT id FROM agents WHERE pool = $1 AND status = 'idle' AND caps @> ARRAY[$2] ORDER BY released_at LIMIT 1 FOR UPDATE SKIP LOCKED)
  UPDATE agents SET status = 'busy', fence = nextval('fence'), lease = $3, expires_at = $4 FROM chosen WHERE agents.id = chosen.id
  RETURNING agents.id, fence`;

const RELEASE = `UPDATE agents SET status = 'idle', lease = NULL, expires_at = NULL, released_at = $3 WHERE lease = $1 AND fence = $2`;

const CANNOT_CONNECT_NOW = '57P03';
const READY_WITHIN_MS = 10_000;

/** The usual queue in PostgreSQL: one row per agent, taken with SKIP LOCKED. */
export class PostgresFleet {
  readonly #pool: pg.Pool;

  constructor(port: number, connections: number) {
    this.#pool = new pg.Pool({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', max: connections });
    // Those of idle connections, which the server ends when it stops.
    this.#pool.on('error', () => undefined);
  }

  async prepare(
    agents: readonly { readonly id: string; readonly pool: string; readonly capabilities: readonly string[] }[],
  ): Promise<void> {
    await this.#untilReady();
    await this.#pool.query(SCHEMA);
    const rows = JSON.stringify(agents);
    await this.#pool.query(
      `INSERT INTO agents (id, pool, caps)
       SELECT a->>'id', a->>'pool', ARRAY(SELECT jsonb_array_elements_text(a->'capabilities')) FROM jsonb_array_elements($1::jsonb) a`,
      [rows],
    );
    await this.#pool.query('ANALYZE agents');
  }

  /** The server listens before it takes queries. */
  async #untilReady(): Promise<void> {
    const deadlineAtMs = Date.now() + READY_WITHIN_MS;
    for (;;) {
      try {
        await this.#pool.query('SELECT 1');
        return;
      } catch (error) {
        if (!(error instanceof pg.DatabaseError) || error.code !== CANNOT_CONNECT_NOW || Date.now() > deadlineAtMs) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async allocate(
    pool: string,
    capability: string,
    leaseMs: number,
  ): Promise<{ readonly lease: string; readonly fence: string } | null> {
    const lease = crypto.randomUUID();
    const { rows } = await this.#pool.query<{ fence: string }>({
      name: 'allocate',
      text: ALLOCATE,
      values: [pool, capability, lease, Date.now() + leaseMs],
    });
    return rows[0] === undefined ? null : { lease, fence: rows[0].fence };
  }

  async release(lease: string, fence: string): Promise<boolean> {
    const { rowCount } = await this.#pool.query({ name: 'release', text: RELEASE, values: [lease, fence, Date.now()] });
    return rowCount === 1;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}
