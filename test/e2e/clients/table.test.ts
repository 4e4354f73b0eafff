/** The tables of docs/clients.md name each recording, with its client, version and kind. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RECORDING_NAMES, readRecording } from './support/recording.ts';

const PAGE = readFileSync(new URL('../../../docs/clients.md', import.meta.url), 'utf8');

interface TableRow {
  readonly client: string;
  readonly works: string;
  readonly how: string;
  readonly pings: string;
  readonly kind: string;
  readonly recording: string;
}

/** Rows that end with a link to a recording. */
const rows: readonly TableRow[] = PAGE.split('\n').flatMap((line) => {
  const [, client = '', works = '', how = '', pings = '', requests = ''] = line.split('|').map((cell) => cell.trim());
  const link = /^(recorded|composed): \[([\w-]+)\]\(\.\.\/test\/e2e\/clients\/recordings\/\2\.json\)$/.exec(requests);
  const [, kind = '', recording = ''] = link ?? [];
  return link === null ? [] : [{ client, works, how, pings, kind, recording }];
});

describe('the tables of docs/clients.md', () => {
  it('have one row for each recording, and no other', () => {
    expect(rows.map(({ recording }) => recording).sort()).toEqual(RECORDING_NAMES);
    expect(rows.length).toBeGreaterThanOrEqual(14);
  });

  it.each(rows)('name the client, the version and the kind of the recording $recording', (row) => {
    const { client, version, source } = readRecording(row.recording);
    expect(row.client).toBe(`${client} ${version}`);
    expect(source.split(' ')[0]?.toLowerCase()).toBe(row.kind);
    expect(row.how).not.toBe('');
  });

  it.each(rows)('say whether the client of $recording can send pings', ({ recording, pings }) => {
    expect(/^(none|–)/.test(pings)).toBe(readRecording(recording).ping === undefined);
  });

  it.each(rows)('say which operations of $recording work', ({ recording, works }) => {
    const requests = readRecording(recording).requests.map(({ operation, expect: refusal }) => ({
      isSubscription: operation === 'subscription',
      isAnswered: refusal === undefined,
    }));
    const hasSubscription = requests.some(({ isSubscription, isAnswered }) => isSubscription && isAnswered);
    const hasOther = requests.some(({ isSubscription, isAnswered }) => !isSubscription && isAnswered);
    if (hasSubscription) expect(works).toBe('yes');
    else if (hasOther) expect(works).toBe('yes, no subscriptions');
    else expect(works).toMatch(/^no: 44\d\d$/);
  });
});
