/** `porchlight doctor`: is a database whole, and does it say the same everywhere? */
import { diagnoseDatabase, type Diagnosis } from '../storage/sqlite/offline/doctor/doctor.ts';
import type { RowCounts } from '../storage/sqlite/offline/row-counts.ts';
import { toStartupError } from './storage-errors.ts';

export interface DoctorRequest {
  readonly file: string;
  readonly quick: boolean;
  readonly json: boolean;
}

/** Text ends with a line break. Healthy: nothing worse than a warning. @throws StartupError when there is nothing to be read. */
export const runDoctor = ({
  file,
  quick,
  json,
}: DoctorRequest): { readonly text: string; readonly healthy: boolean } => {
  try {
    const diagnosis = diagnoseDatabase(file, quick);
    const healthy = !diagnosis.findings.some(({ severity }) => severity === 'error');
    return {
      text: json ? `${JSON.stringify({ healthy, ...diagnosis })}\n` : describe(file, diagnosis, healthy),
      healthy,
    };
  } catch (error) {
    throw toStartupError(error);
  }
};

const describe = (path: string, { schema, integrity, file, counted, findings }: Diagnosis, healthy: boolean): string =>
  [
    `${path}: ${healthy ? 'healthy' : 'NOT healthy'}`,
    `  schema:   ${schema?.toLowerCase() ?? 'unreadable'}`,
    `  file:     ${file.bytes} bytes, ${file.pages} pages of which ${file.freePages} are free; write-ahead log ${file.walBytes} bytes`,
    ...(counted === null ? [] : counts(counted)),
    `  checked:  ${integrity === 'full' ? 'all of the file, its indexes too' : 'the file, not its indexes (--quick)'}`,
    ...findings.flatMap(({ id, severity, what, count, examples }) => [
      `${severity} ${id} (${count}): ${what}`,
      ...examples.map((example) => `    ${example}`),
      ...(count > examples.length ? [`    and ${count - examples.length} more`] : []),
    ]),
    '',
  ].join('\n');

const counts = ({ users, sessions, events, cursor }: RowCounts): readonly string[] => [
  `  users:    ${users.ONLINE} ONLINE, ${users.PUSH_ONLINE} PUSH_ONLINE, ${users.OFFLINE} OFFLINE`,
  `  sessions: ${sessions.live} live, ${sessions.ended} ended`,
  `  events:   ${events}, through ${cursor ?? 'an unknown cursor'}`,
];
