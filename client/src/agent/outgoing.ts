import type { Problem } from '../../../shared/schemas/problem.ts';
import type { AgentFrame } from '../../../shared/schemas/session.ts';
import { apiErrorOf } from '../errors.ts';
import { isRetryable } from '../retry.ts';
import type { Ack } from './types.ts';

interface Pending {
  readonly frame: AgentFrame;
  readonly text: string;
  resolve(ack: Ack): void;
  reject(error: unknown): void;
}

/** A busy fleet asked for a pause without saying how long. */
const PAUSE_MS = 1_000;

/** Frames without their acknowledgement, in order. They outlive sockets: each new one sends them again. */
export class Outgoing {
  readonly #send: (text: string) => void;
  readonly #pending = new Map<string, Pending>();
  #lastId = 0;

  /** `send` drops what it cannot send now; `resend` comes with the next socket. */
  constructor(send: (text: string) => void) {
    this.#send = send;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Sends a frame; settles with its acknowledgement or refusal, whenever that comes. */
  push(frame: DistributiveOmit<AgentFrame, 'id'>): Promise<Ack> {
    const id = String(++this.#lastId);
    return new Promise((resolve, reject) => {
      const whole = { ...frame, id };
      const text = JSON.stringify(whole);
      this.#pending.set(id, { frame: whole, text, resolve, reject });
      this.#send(text);
    });
  }

  resend(): void {
    for (const { text } of this.#pending.values()) this.#send(text);
  }

  acknowledged(id: string | number, ack: Ack): void {
    this.#take(String(id))?.resolve(ack);
  }

  /** A refusal for now is sent again after its pause; any other settles the frame. */
  refused(id: string | number, problem: Problem): void {
    const key = String(id);
    const error = apiErrorOf(problem);
    if (!isRetryable(error)) {
      this.#take(key)?.reject(error);
      return;
    }
    setTimeout(() => {
      const pending = this.#pending.get(key);
      if (pending !== undefined) this.#send(pending.text);
    }, error.retryAfterMs ?? PAUSE_MS);
  }

  /** Gives up the frames of one lease. */
  forget(taskId: string, fencingToken: number, reason: Error): void {
    for (const [id, { frame, reject }] of this.#pending) {
      if (!('taskId' in frame) || frame.taskId !== taskId || frame.fencingToken !== fencingToken) continue;
      this.#pending.delete(id);
      reject(reason);
    }
  }

  #take(id: string): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}

type DistributiveOmit<T, K extends string> = T extends unknown ? Omit<T, K> : never;
