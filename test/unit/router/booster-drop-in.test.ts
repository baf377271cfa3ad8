import { describe, expect, it } from 'vitest';
import { completion, editOf } from '../../../workers/router/booster/drop-in.ts';
import { bodyOf, harness, type Harness } from './fixtures.ts';

const CHAT = '/v1/chat/completions';
const message = (content: unknown, role = 'user') => ({ role, content });
const EDIT = '<instruction>I will double it</instruction>\n<code>let a = 1;\n</code>\n<update>let a = 2;\n</update>';
const chat = (content: unknown = EDIT, more: object = {}) => ({ model: 'morph-v3-fast', messages: [message(content)], ...more });
const taskOf = (h: Harness) => h.regions['us-east-1'].runBooster.mock.calls[0]?.[1][0];
const errorOf = async (response: Response) =>
  (await bodyOf(response))['error'] as { message: string; type: string; param: string | null; code: string; reason?: string };

describe('the drop-in routes', () => {
  it('B290: a chat completion holds the merged file, byte for byte', async () => {
    const h = await harness();
    const response = await h.call('POST', CHAT, { body: chat(EDIT, { temperature: 0, max_tokens: 5, tools: [], path: 'a.ts' }) });
    expect(response.status).toBe(200);
    expect(await bodyOf(response)).toMatchObject({
      object: 'chat.completion',
      model: 'morph-v3-fast',
      choices: [{ index: 0, message: { role: 'assistant', content: 'new' }, finish_reason: 'stop' }],
      usage: { completion_tokens: 1 },
    });
    expect(taskOf(h)).toEqual({
      operation: 'apply',
      path: 'a.ts',
      instruction: 'I will double it',
      original: 'let a = 1;\n',
      edit: 'let a = 2;\n',
    });
  });

  it('B291: the edit is in the last message of the user; a message may be in parts', async () => {
    const h = await harness();
    const parts = [
      { type: 'text', text: '<code>a</code>' },
      { type: 'text', text: '<update>b</update>' },
    ];
    const messages = [
      message('be brief', 'system'),
      message('<code>x</code><update>y</update>'),
      message(parts),
      message('ok', 'assistant'),
    ];
    expect((await h.call('POST', CHAT, { body: { messages } })).status).toBe(200);
    expect(taskOf(h)).toMatchObject({ original: 'a', edit: 'b' });
  });

  it.each([
    ['tags inside the code', '<code>"<code>" </code>" <update></code><update>b</update>', null],
    ['a divider twice', '<code>a</code><update>b</code><update>c</update>', 'cannot be told apart'],
    ['no code', '<update>b</update>', 'holds no edit'],
    ['no update', '<code>a</code>', 'holds no edit'],
    ['plain words', 'please fix this', 'holds no edit'],
    ['an end that is missing', '<code>a</code><update>b', 'holds no edit'],
  ])('B292: %s', (_, content, refusal) => {
    const edit = editOf({ messages: [{ role: 'user', content }] });
    if (refusal === null) expect(edit.ok).toBe(true);
    else expect(!edit.ok && edit.error.detail).toContain(refusal);
  });

  it.each([
    { instruction: 'i', code: 'a', update: 'b' },
    { initial_code: 'a', edit_snippet: 'b', stream: false },
    { originalCode: 'a', codeEdit: 'b', model: 'x' },
  ])('B293: /v1/apply takes fields, too, and answers the file under a name of its own', async (body) => {
    const h = await harness();
    const response = await h.call('POST', '/v1/apply', { body });
    expect(await bodyOf(response)).toMatchObject({ mergedCode: 'new', choices: [{ message: { content: 'new' } }] });
    expect(taskOf(h)).toMatchObject({ operation: 'apply', original: 'a', edit: 'b' });
  });

  it('B294: a stream is refused in that API’s own shape', async () => {
    const h = await harness();
    const response = await h.call('POST', CHAT, { body: chat(EDIT, { stream: true }) });
    expect([response.status, response.headers.get('content-type')]).toEqual([422, 'application/json']);
    expect(await errorOf(response)).toMatchObject({ type: 'invalid_request_error', param: 'stream' });
  });

  it('B295: an edit that is not sure is 422 unsure with the reason, and no half of a file', async () => {
    const h = await harness();
    h.regions['us-east-1'].runBooster.mockResolvedValue([
      { reason: 'ambiguous', json: '{"ok":false,"reason":"ambiguous","detail":"two places","candidates":[{"line":3}]}' },
    ]);
    const response = await h.call('POST', CHAT, { body: chat() });
    expect(response.status).toBe(422);
    expect(await bodyOf(response)).toEqual({
      error: {
        message: 'two places',
        type: 'unsure',
        param: null,
        code: 'unsure',
        reason: 'ambiguous',
        candidates: [{ line: 3 }],
      },
    });
  });

  it('B296: whatever goes wrong is told in that shape, with the headers that every reply has', async () => {
    const h = await harness();
    const unauthorized = await h.call('POST', CHAT, { token: null, body: chat() });
    expect([unauthorized.status, await errorOf(unauthorized)]).toMatchObject([401, { code: 'invalid_api_key' }]);
    expect(unauthorized.headers.get('www-authenticate')).toContain('Bearer');
    expect(unauthorized.headers.get('x-request-id')).not.toBeNull();
    const viewer = await h.call('POST', CHAT, { token: await h.token({ role: 'viewer' }), body: chat() });
    expect([viewer.status, (await errorOf(viewer)).type]).toEqual([403, 'permission_error']);
    const bad = await h.call('POST', '/v1/apply', { body: { code: 'a' } });
    expect([bad.status, (await errorOf(bad)).param]).toEqual([422, 'update']);
    const none = await h.call('POST', CHAT, { body: { messages: [] } });
    expect([none.status, (await errorOf(none)).param]).toEqual([422, 'messages']);
    const lawless = await h.call('POST', CHAT, { body: chat(EDIT, { region: 'mars-1' }) });
    expect([lawless.status, (await errorOf(lawless)).code]).toEqual([422, 'unknown_region']);
  });

  it('B297: residency holds there, too', async () => {
    const h = await harness();
    const response = await h.call('POST', CHAT, { body: chat(EDIT, { residency: { allowed: ['eu'] } }) });
    expect(response.headers.get('x-fleet-region')).toBe('eu-west-1');
  });

  it('B298: usage is estimated from the texts', () => {
    const edit = { instruction: undefined, original: 'x'.repeat(40), edit: 'y'.repeat(8) };
    expect(completion({}, edit, 'z'.repeat(44), { id: '1', atMs: 5_500, engine: 'e' })).toMatchObject({
      created: 5,
      model: 'fleet-booster',
      usage: { prompt_tokens: 12, completion_tokens: 11, total_tokens: 23 },
    });
  });
});
