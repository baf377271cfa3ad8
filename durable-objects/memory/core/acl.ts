import type { Role } from '../../../shared/roles.ts';
import { join, raw, sql, type Fragment } from './sql.ts';

/** Who asks, as the token says and nothing else does. */
export interface Reader {
  /** An agent's id, or the token's. */
  readonly subject: string;
  readonly role: Role;
  /** The agent's pool, which is its team; null for people and services. */
  readonly team: string | null;
  /** An agent that was registered with this swarm. */
  readonly isMember: boolean;
}

export type Operation = 'read' | 'write' | 'delete' | 'manage';

/** What a row must have so that the rule can be asked about it. */
export interface Subject {
  /** Alias of the row, with `acl_level`, `owner_id`, `team` and `quarantined_at`. */
  readonly row: string;
  /** Column with the entry's id, where the entry's lists apply. */
  readonly entry?: string;
  /** Column with the version that the row shows: a list opens what was written since, not what was before. */
  readonly version?: string;
  /** Quarantined rows, too: for those who clear them up. */
  readonly quarantined?: boolean;
}

/** In a list beside ids: every agent of the swarm, or every agent of the owner's pool. */
export const EVERY_MEMBER = 'swarm';
export const EVERY_TEAM_MEMBER = 'team';

const NEVER = raw('0');
const ALWAYS = raw('1');

/**
 * The one rule of who may do what (docs/spec/memory.md, M60 on). It is SQL, so that a list, a search and an export ask the
 * very rule that a single read asks, and so that what may not be seen is never even fetched.
 *
 * | level | read | write, delete | manage |
 * | --- | --- | --- | --- |
 * | private | owner | owner | owner |
 * | team | owner, agents of the owner's pool in the swarm, operators, admins | owner, admins | owner, admins |
 * | swarm | agents of the swarm, operators, admins | owner, admins | owner, admins |
 * | public | everyone of the fleet | owner, admins | owner, admins |
 * | system | agents of the swarm, operators, admins | admins | admins |
 *
 * A list adds the agents it names for its operation; it never opens a `system` entry, and nothing opens a quarantined one.
 */
export function grants(who: Reader, operation: Operation, subject: Subject): Fragment {
  const level = raw(`${subject.row}.acl_level`);
  const byLevel = operation === 'read' ? readLevels(who, subject, level) : changeLevels(who, level);
  const owner = raw(`${subject.row}.owner_id`);
  const byOwner = isInside(who) ? sql`(${owner} = ${who.subject} AND ${level} <> 'system')` : NEVER;
  const byList = operation === 'manage' || subject.entry === undefined ? NEVER : listed(who, operation, subject, subject.entry);
  const granted = join([byLevel, byOwner, byList], ' OR ');
  return subject.quarantined === true
    ? sql`(${granted})`
    : sql`(${raw(`${subject.row}.quarantined_at`)} IS NULL AND (${granted}))`;
}

/**
 * Members, and the people who run the fleet: they see what concerns the swarm as such. An agent that is no member has no place
 * in it, whatever a row says; a viewer owns nothing.
 */
export const isInside = (who: Reader): boolean => who.isMember || who.role === 'operator' || who.role === 'admin';

function readLevels(who: Reader, subject: Subject, level: Fragment): Fragment {
  if (who.role === 'operator' || who.role === 'admin') return sql`${level} <> 'private'`;
  if (!who.isMember) return sql`${level} = 'public'`;
  const team = who.team === null ? NEVER : sql`(${level} = 'team' AND ${raw(`${subject.row}.team`)} = ${who.team})`;
  return sql`${level} IN ('swarm', 'public', 'system') OR ${team}`;
}

const changeLevels = (who: Reader, level: Fragment): Fragment => (who.role === 'admin' ? sql`${level} <> 'private'` : NEVER);

function listed(who: Reader, operation: 'read' | 'write' | 'delete', subject: Subject, entry: string): Fragment {
  const names: Fragment[] = [sql`p.subject = ${who.subject}`];
  if (who.isMember) names.push(sql`p.subject = ${EVERY_MEMBER}`);
  if (who.isMember && who.team !== null)
    names.push(sql`(p.subject = ${EVERY_TEAM_MEMBER} AND ${raw(`${subject.row}.team`)} = ${who.team})`);
  const since = subject.version === undefined ? ALWAYS : raw(`p.since_version <= ${subject.version}`);
  return sql`(${raw(`${subject.row}.acl_level`)} <> 'system' AND EXISTS (SELECT 1 FROM permissions p
    WHERE p.memory_id = ${raw(entry)} AND p.operation = ${operation} AND (${join(names, ' OR ')}) AND ${since}))`;
}
