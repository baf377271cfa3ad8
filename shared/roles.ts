/** Roles of CONTRACT "Fleet, pools, tokens"; each contains the ones before it, `agent` stands apart. */
export const ROLES = ['viewer', 'operator', 'admin', 'agent'] as const;
export type Role = (typeof ROLES)[number];

const RANK: Readonly<Record<Role, number>> = { agent: 0, viewer: 1, operator: 2, admin: 3 };

/** Whether `role` may do what demands at least `needed`. An agent never passes a human role's check. */
export const roleAtLeast = (role: Role, needed: Exclude<Role, 'agent'>): boolean =>
  role !== 'agent' && RANK[role] >= RANK[needed];
