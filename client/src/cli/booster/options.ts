import type { Command } from 'commander';
import { AgentBooster } from '../../booster/agent-booster.ts';
import { contextOf } from '../context.ts';
import type { Output } from '../output.ts';
import { durationMs } from '../parse.ts';
import { type ResidencyOptions, residencyOf, withResidency } from '../residency.ts';

export interface BoosterOptions extends ResidencyOptions {
  readonly language?: string;
  readonly fallback?: string;
  readonly waitTimeout?: number;
  /** `language`, ready to be spread into a request. */
  readonly named?: { readonly language?: string };
}

/** Options of every command that gives the booster code. */
export const withBooster = (command: Command): Command =>
  withResidency(
    command
      .option('--language <name>', 'of the code; otherwise the file’s name tells')
      .option('--fallback <pool>', 'agents that do what the booster leaves undone')
      .option('--wait-timeout <duration>', 'wait no longer for an agent', durationMs),
  ).hook('preAction', (_, acting) => {
    const { language } = acting.opts<BoosterOptions>();
    acting.setOptionValue('named', language === undefined ? {} : { language });
  });

export function boosterOf(
  command: Command,
  options: BoosterOptions,
): { readonly booster: AgentBooster; readonly output: Output } {
  const { client, output } = contextOf(command);
  const booster = new AgentBooster({
    ...client,
    residency: residencyOf(options),
    fallbackPool: options.fallback,
    agentTimeoutMs: options.waitTimeout,
  });
  return { booster, output };
}
